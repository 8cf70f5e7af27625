//! The explorer against a plain interpreter: random small programs must end in exactly the same ways.
//!
//! The interpreter is written apart from the explorer: it keeps whole states instead of fingerprints, runs a list of
//! instructions instead of code, and takes every step it can from every state it has not seen.
#![cfg(weyr_face = "explore")]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use weyr_atomic::explore::{Context, Ghost, Model, is_dead};
use weyr_atomic::{AtomicU32, Ordering, Zeroed, fence, heavy_barrier};

const WORDS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Instruction {
    Load(usize),
    Store(usize, u32),
    LockedStore(usize, u32),
    Exchange(usize, u32, u32),
    Swap(usize, u32),
    Add(usize, u32),
    Fence,
    Barrier,
    IsDead(usize),
}

type Program = Vec<Instruction>;

/// Memory, what each process was answered (nothing for the dead), and who is dead.
type End = (Vec<u32>, Vec<Vec<u32>>, Vec<bool>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    next: usize,
    answers: Vec<u32>,
    buffer: Vec<(usize, u32)>,
    dead: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    memory: Vec<u32>,
    processes: Vec<Process>,
}

struct Interpreter<'a> {
    programs: &'a [Program],
    tso: bool,
    mortals: usize,
    deaths: usize,
}

impl Interpreter<'_> {
    fn ends(&self) -> BTreeSet<End> {
        let process = Process { next: 0, answers: Vec::new(), buffer: Vec::new(), dead: false };
        let start = State { memory: vec![0; WORDS], processes: vec![process; self.programs.len()] };
        let (mut seen, mut open, mut ends) = (BTreeSet::from([start.clone()]), vec![start], BTreeSet::new());
        while let Some(state) = open.pop() {
            let (ways, progress) = self.ways(&state);
            if !progress {
                ends.insert(end_of(&state));
            }
            open.extend(ways.into_iter().filter(|way| seen.insert(way.clone())));
        }
        ends
    }

    fn ways(&self, state: &State) -> (Vec<State>, bool) {
        let mut ways = Vec::new();
        for process in 0..self.programs.len() {
            ways.extend(landed(state, process));
            ways.extend(self.stepped(state, process));
        }
        let progress = !ways.is_empty();
        ways.extend((0..self.mortals).filter_map(|process| self.killed(state, process)));
        (ways, progress)
    }

    fn running(&self, state: &State, process: usize) -> bool {
        // One more than there are instructions: the return, before which a process can die.
        let end = self.programs[process].len() + usize::from(process < self.mortals);
        !state.processes[process].dead && state.processes[process].next < end
    }

    fn killed(&self, state: &State, process: usize) -> Option<State> {
        let deaths = state.processes.iter().filter(|process| process.dead).count();
        (self.running(state, process) && deaths < self.deaths).then(|| {
            let mut after = state.clone();
            after.processes[process].dead = true;
            after.processes[process].answers.clear();
            after.processes[process].next = 0;
            after
        })
    }

    fn stepped(&self, state: &State, process: usize) -> Option<State> {
        if !self.running(state, process) {
            return None;
        }
        let mut after = state.clone();
        let next = after.processes[process].next;
        after.processes[process].next += 1;
        if let Some(&instruction) = self.programs[process].get(next) {
            let answer = self.execute(&mut after, process, instruction)?;
            after.processes[process].answers.push(answer);
        }
        Some(after)
    }

    /// The answer, or nothing while buffered stores are in the way.
    fn execute(&self, state: &mut State, process: usize, instruction: Instruction) -> Option<u32> {
        let buffered = state.processes[process].buffer.clone();
        match instruction {
            Instruction::Load(word) => {
                let newest = buffered.iter().rev().find(|(stored, _)| *stored == word);
                return Some(newest.map_or(state.memory[word], |&(_, value)| value));
            }
            Instruction::Store(word, value) if self.tso => {
                state.processes[process].buffer.push((word, value));
                return Some(0);
            }
            Instruction::IsDead(other) => {
                let other = &state.processes[other];
                return Some(u32::from(other.dead && other.buffer.is_empty()));
            }
            _ if !buffered.is_empty() => return None,
            _ => {}
        }
        Some(execute_alone(state, instruction))
    }
}

/// Instructions that run with the own buffer empty.
fn execute_alone(state: &mut State, instruction: Instruction) -> u32 {
    let memory = &mut state.memory;
    match instruction {
        Instruction::Store(word, value) | Instruction::LockedStore(word, value) => {
            memory[word] = value;
            0
        }
        Instruction::Swap(word, value) => std::mem::replace(&mut memory[word], value),
        Instruction::Add(word, value) => {
            memory[word] += value;
            memory[word] - value
        }
        Instruction::Exchange(word, current, new) => {
            let former = memory[word];
            memory[word] = if former == current { new } else { former };
            former
        }
        Instruction::Barrier => {
            for process in 0..state.processes.len() {
                let buffer = std::mem::take(&mut state.processes[process].buffer);
                buffer.into_iter().for_each(|(word, value)| state.memory[word] = value);
            }
            0
        }
        Instruction::Load(_) | Instruction::Fence | Instruction::IsDead(_) => 0,
    }
}

fn landed(state: &State, process: usize) -> Option<State> {
    let &(word, value) = state.processes[process].buffer.first()?;
    let mut after = state.clone();
    after.processes[process].buffer.remove(0);
    after.memory[word] = value;
    Some(after)
}

fn end_of(state: &State) -> End {
    let answers = state.processes.iter().map(|process| process.answers.clone()).collect();
    (state.memory.clone(), answers, state.processes.iter().map(|process| process.dead).collect())
}

type World = ([AtomicU32; WORDS], Ghost<Vec<Vec<u32>>>);

/// The same program as code over the facade.
fn run_code(program: &Program, (words, answers): &World, cx: &Context) {
    let mut own = Vec::new();
    for &instruction in program {
        own.push(run_instruction(words, instruction));
    }
    answers.update(|answers| answers[cx.process()] = own);
}

fn run_instruction(words: &[AtomicU32; WORDS], instruction: Instruction) -> u32 {
    let relaxed = Ordering::Relaxed;
    match instruction {
        Instruction::Load(word) => return words[word].load(relaxed),
        Instruction::Store(word, value) => words[word].store(value, relaxed),
        Instruction::LockedStore(word, value) => words[word].store(value, Ordering::SeqCst),
        Instruction::Exchange(word, current, new) => {
            return words[word]
                .compare_exchange(current, new, relaxed, relaxed)
                .unwrap_or_else(|found| found);
        }
        Instruction::Swap(word, value) => return words[word].swap(value, relaxed),
        Instruction::Add(word, value) => return words[word].fetch_add(value, relaxed),
        Instruction::Fence => fence(Ordering::SeqCst),
        Instruction::Barrier => assert!(heavy_barrier(|| false)),
        Instruction::IsDead(process) => return u32::from(is_dead(process)),
    }
    0
}

fn ends_by_the_explorer(interpreter: &Interpreter) -> BTreeSet<End> {
    let count = interpreter.programs.len();
    let ends = Rc::new(RefCell::new(BTreeSet::new()));
    let found = ends.clone();
    let mut model = Model::new("random programs")
        .memory(move || -> World { (Zeroed::zeroed(), Ghost::new(vec![Vec::new(); count])) });
    for program in interpreter.programs {
        let program = program.clone();
        model = model.process(move |world, cx| run_code(&program, world, cx));
    }
    let model = model.tso(interpreter.tso).may_die(0..interpreter.mortals).deaths(interpreter.deaths);
    let report = model.at_end(move |(words, answers), outcome| {
        let memory = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        let dead: Vec<_> = (0..count).map(|process| outcome.dead(process)).collect();
        let keep = |(process, answers): (usize, Vec<u32>)| if dead[process] { Vec::new() } else { answers };
        let answers = answers.get().into_iter().enumerate().map(keep).collect();
        found.borrow_mut().insert((memory, answers, dead));
        outcome.nobody_blocked()
    });
    report.run().assert_holds();
    ends.take()
}

/// xorshift: the same programs in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn instruction(&mut self, processes: usize) -> Instruction {
        let (word, value) = (self.below(WORDS), self.below(3) as u32);
        match self.below(12) {
            0..=2 => Instruction::Load(word),
            3..=5 => Instruction::Store(word, value + 1),
            6 => Instruction::LockedStore(word, value + 1),
            7 => Instruction::Exchange(word, value, value + 1),
            8 => Instruction::Swap(word, value),
            9 => Instruction::Add(word, 1),
            10 => [Instruction::Fence, Instruction::Barrier][self.below(2)],
            _ => Instruction::IsDead(self.below(processes)),
        }
    }
}

#[test]
fn random_programs_end_as_a_plain_interpreter_says() {
    let mut numbers = Numbers(0x5eed_1e55);
    let mut ends = 0;
    for round in 0..150 {
        let (processes, length) = [(2, 4), (3, 3), (2, 5)][round % 3];
        let mut program = || (0..length).map(|_| numbers.instruction(processes)).collect::<Program>();
        let programs: Vec<_> = (0..processes).map(|_| program()).collect();
        let (tso, mortals) = (round % 5 != 0, round % processes);
        let interpreter = Interpreter { programs: &programs, tso, mortals, deaths: 1 + round % 2 };
        let expected = interpreter.ends();
        ends += expected.len();
        assert_eq!(ends_by_the_explorer(&interpreter), expected, "round {round}: {programs:?}");
    }
    assert!(ends > 3_000, "the programs were too simple: {ends} ends");
}
