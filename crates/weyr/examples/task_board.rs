//! Three processes work off a board of tasks that lies in a pool: a priority heap of what is to be done, a hash table of
//! what came out, and a bitset of who is at work, the first two under a lock. One of them dies with the lock in its hands,
//! and the others go on.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::env;
use std::error::Error;
use std::process::Command;

use weyr::lock::{GreedyLock, Lock};
use weyr::prelude::*;
use weyr::{
    AllocationDescriptor, Atomics, Bitset, HashTable, PoolParticipant, PriorityHeap, Region, hex_dump,
    managed,
};

const BOARD: &str = "EXAMPLE_BOARD";
const WORKER: &str = "EXAMPLE_WORKER";
const TASKS: u64 = 30;
const WORKERS: u64 = 3;
/// The task on which its worker dies.
const DEADLY: u64 = 13;

/// What all of them have, part by part in one allocation.
struct Board {
    me: PoolParticipant,
    lock: Atomics<GreedyLock>,
    at_work: Bitset,
    to_do: PriorityHeap,
    done: HashTable,
}

impl Board {
    const PART: u64 = 4096;

    fn region(memory: &Published, part: u64) -> Result<Region, Box<dyn Error>> {
        Ok(memory.clone_view(part * Self::PART, Self::PART)?.region()?)
    }

    fn make(pool: &Pool, memory: &Published) -> Result<Self, Box<dyn Error>> {
        let (lock, me) = (memory.atomics(0, 1)?, pool.participant()?);
        let at_work = Bitset::init(&Self::region(memory, 1)?, WORKERS)?;
        // Two children a node would do; four keep the heap flat. A task is one number, and so is what comes out of it.
        let to_do = PriorityHeap::init(&Self::region(memory, 2)?, 4, TASKS, 1)?;
        let done = HashTable::init(&Self::region(memory, 3)?, TASKS, 1, 1)?;
        Ok(Self { me, lock, at_work, to_do, done })
    }

    fn open(pool: &Pool, memory: &Published) -> Result<Self, Box<dyn Error>> {
        let (lock, me) = (memory.atomics(0, 1)?, pool.participant()?);
        let at_work = Bitset::attach(&Self::region(memory, 1)?)?;
        let to_do = PriorityHeap::attach(&Self::region(memory, 2)?)?;
        Ok(Self { me, lock, at_work, to_do, done: HashTable::attach(&Self::region(memory, 3)?)? })
    }

    /// Takes the most urgent task off the board; none when there is none left.
    fn next(&self) -> Result<Option<u64>, Box<dyn Error>> {
        let mut guard = self.lock[0].acquire(&self.me)?;
        if guard.owner_died() {
            // Whatever its owner was in the middle of, each entry is there or not.
            self.to_do.recover()?;
            self.done.recover()?;
            guard.mark_consistent();
        }
        let mut task = [0];
        let found = (!self.to_do.is_empty()).then(|| self.to_do.pop(&mut task)).transpose()?;
        if task[0] == DEADLY && env::var_os(WORKER).is_some() {
            std::process::abort();
        }
        Ok(found.map(|_| task[0]))
    }

    fn finish(&self, task: u64, result: u64) -> Result<(), Box<dyn Error>> {
        let _guard = self.lock[0].acquire(&self.me)?;
        Ok(self.done.insert(&[task], &[result])?)
    }

    fn work(&self) -> Result<(), Box<dyn Error>> {
        while let Some(task) = self.next()? {
            let factorial = (1..=task).fold(1, |product, factor| product * factor % 1_000_007);
            self.finish(task, factorial)?;
        }
        Ok(())
    }
}

fn worker(number: u64) -> Result<(), Box<dyn Error>> {
    let descriptor: AllocationDescriptor = env::var(BOARD)?.parse()?;
    let pool = Pool::from_environment()?;
    let memory = pool.open(&descriptor)?;
    let board = Board::open(&pool, &memory)?;
    board.at_work.set(number)?;
    board.work()?;
    board.at_work.reset(number)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(number) = env::var(WORKER) {
        return worker(number.parse()?);
    }
    let pool = Pool::create(&PoolAttributes::new(format!("task-board-{}", std::process::id()), 1 << 20))?;
    let memory = pool.alloc_zeroed(4 * Board::PART, Board::PART)?.publish()?;
    let board = Board::make(&pool, &memory)?;
    for task in 0..TASKS {
        board.to_do.push(&[task], TASKS - task)?; // the last one first
    }
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let mut command = Command::new(env::current_exe()?);
        command.env(WORKER, number.to_string()).env(BOARD, memory.descriptor().to_string());
        command.env(managed::POOL_VARIABLE, pool.path());
        workers.push(command.spawn()?);
    }
    let mut died = 0;
    for worker in &mut workers {
        died += u32::from(!worker.wait()?.success());
    }
    // Its task went with it. What the others left, if they had ended before, is done here.
    board.work()?;
    let missing: Vec<u64> = (0..TASKS).filter(|task| board.done.get(&[*task]).is_err()).collect();
    println!("{} of {TASKS} tasks done, {died} worker died, missing {missing:?}", board.done.len());
    println!("who never said that it was done: {:?}", board.at_work.iter().collect::<Vec<_>>());
    let mut head = [0; 64];
    memory.read(3 * Board::PART, &mut head)?;
    print!("the hash table begins so:\n{}", hex_dump(&head, 3 * Board::PART));
    assert_eq!((missing, died, board.at_work.count()), (vec![DEADLY], 1, 1));
    Ok(pool.destroy()?)
}
