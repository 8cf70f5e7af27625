//! Calls on a pool beside a plain model of it: a list of blocks with their bytes. One call at a time, from several
//! threads, so what each must say is known.
//!
//! Any bytes are a sequence of calls, three of them each; the property test and the fuzzer draw them.

use std::sync::mpsc;

use weyr_managed::{
    Allocation, AllocationDescriptor, BlockReference, Error, Growth, Mode, Pool, PoolAttributes, Published,
};

const PAGE: u64 = 4096;
const INITIAL: u64 = 24 * PAGE;
const MAXIMUM: u64 = 64 * PAGE;
const THREADS: usize = 3;
const SIZES: [u64; 12] = [0, 1, 64, 65, 200, 600, 1300, 2048, 5000, 9000, 40_000, 120_000];

type Work = Box<dyn FnOnce(&Pool) + Send>;

/// A thread that makes the calls it is given, so that blocks have several owners.
struct Caller {
    work: mpsc::Sender<Work>,
}

impl Caller {
    fn new(pool: &Pool) -> Self {
        let (work, given) = mpsc::channel::<Work>();
        let pool = pool.clone();
        std::thread::spawn(move || given.iter().for_each(|work| work(&pool)));
        Self { work }
    }

    fn call<T: Send + 'static>(&self, call: impl FnOnce(&Pool) -> T + Send + 'static) -> T {
        let (say, said) = mpsc::channel();
        self.work.send(Box::new(move |pool| drop(say.send(call(pool))))).expect("it lives as long as this");
        said.recv().expect("a call returns")
    }
}

/// What the model knows of a block.
#[derive(Debug, Clone, Copy)]
struct Known {
    reference: BlockReference,
    bytes: u64,
    /// What all its bytes are.
    value: u8,
}

impl Known {
    fn overlaps(&self, other: &Known) -> bool {
        let end = |known: &Known| known.reference.offset + known.bytes.max(1);
        self.reference.offset < end(other) && other.reference.offset < end(self)
    }
}

pub(crate) struct Calls {
    pool: Pool,
    callers: Vec<Caller>,
    owned: Vec<(Known, Allocation)>,
    published: Vec<(Known, AllocationDescriptor, bool)>,
    gone: Vec<AllocationDescriptor>,
    value: u8,
}

impl Calls {
    pub(crate) fn new(name: &str) -> Self {
        let attributes = PoolAttributes::new(name, INITIAL).page_size(PAGE).segment_size(20 * PAGE);
        let attributes = attributes.growth(Growth::UpTo(MAXIMUM)).processes(3).lanes(8).channels(1);
        let pool = Pool::create(&attributes).unwrap();
        let callers = (0..THREADS).map(|_| Caller::new(&pool)).collect();
        Self { pool, callers, owned: Vec::new(), published: Vec::new(), gone: Vec::new(), value: 0 }
    }

    /// Makes the calls that the bytes say, and compares after each. Returns how many.
    pub(crate) fn make(mut self, bytes: &[u8]) -> usize {
        for call in bytes.chunks_exact(3) {
            self.one(call[0], usize::from(call[1]), usize::from(call[2]));
        }
        self.end();
        bytes.len() / 3
    }

    fn one(&mut self, kind: u8, which: usize, how: usize) {
        match kind % 16 {
            0..5 => self.alloc(which, SIZES[how % SIZES.len()]),
            5..8 => self.free(which, how),
            8 => self.publish(which, how),
            9 => self.open(which, how),
            10 => self.free_published(which, how),
            11 => self.open_what_is_gone(which),
            12 => self.write_and_read(which, how),
            13 => self.view(which, how),
            14 => self.verify(),
            _ => drop(self.callers[which % THREADS].call(|pool| pool.recover())),
        }
    }

    fn known(&self) -> impl Iterator<Item = &Known> {
        self.owned.iter().map(|(known, _)| known).chain(self.published.iter().map(|(known, ..)| known))
    }

    fn alloc(&mut self, thread: usize, bytes: u64) {
        self.value = self.value.wrapping_add(1);
        let value = self.value;
        let made = self.callers[thread % THREADS].call(move |pool| {
            let mut memory = pool.alloc(bytes)?;
            memory.fill(value)?;
            Ok::<_, Error>(memory)
        });
        match made {
            Ok(memory) => {
                assert_eq!((memory.len(), memory.reference().offset % 64), (bytes, 0));
                let known = Known { reference: memory.reference(), bytes, value };
                let other = self.known().find(|other| other.overlaps(&known));
                assert!(other.is_none(), "{known:?} overlaps with {other:?}");
                self.owned.push((known, memory));
            }
            Err(Error::NoMemory { .. }) => {
                // Half of an empty pool can always be had.
                let used: u64 = self.known().map(|known| known.bytes.next_multiple_of(2 * PAGE)).sum();
                assert!(used > 0, "{bytes} bytes of an empty pool");
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn free(&mut self, which: usize, thread: usize) {
        if self.owned.is_empty() {
            return;
        }
        let (known, memory) = self.owned.swap_remove(which % self.owned.len());
        assert_filled(known, |bytes| memory.read(0, bytes));
        self.callers[thread % THREADS].call(move |_| drop(memory));
    }

    fn publish(&mut self, which: usize, how: usize) {
        if self.owned.is_empty() {
            return;
        }
        let (known, memory) = self.owned.swap_remove(which % self.owned.len());
        let freezing = how.is_multiple_of(4);
        let published = if freezing { memory.freeze() } else { memory.publish() }.unwrap();
        assert_eq!((published.reference(), published.is_frozen()), (known.reference, freezing));
        self.published.push((known, published.descriptor(), freezing));
    }

    fn opened(&self, which: usize, thread: usize) -> Option<(usize, Published)> {
        let index = which.checked_rem(self.published.len())?;
        let (_, descriptor, _) = self.published[index];
        let caller = &self.callers[thread % THREADS];
        Some((index, caller.call(move |pool| pool.open(&descriptor)).unwrap()))
    }

    fn open(&mut self, which: usize, thread: usize) {
        let Some((index, opened)) = self.opened(which, thread) else { return };
        let (known, descriptor, frozen) = self.published[index];
        assert_eq!((opened.descriptor(), opened.is_frozen(), opened.exists()), (descriptor, frozen, true));
        assert_filled(known, |bytes| opened.read(0, bytes));
        assert!(frozen == opened.write(0, &[]).is_err());
    }

    fn free_published(&mut self, which: usize, thread: usize) {
        let Some((index, opened)) = self.opened(which, thread) else { return };
        let again = self.pool.open(&opened.descriptor()).unwrap();
        self.callers[thread % THREADS].call(move |_| opened.free()).unwrap();
        assert!(!again.exists() && again.free().is_err(), "freed twice");
        let (_, descriptor, _) = self.published.swap_remove(index);
        self.gone.push(descriptor);
    }

    fn open_what_is_gone(&mut self, which: usize) {
        let Some(index) = which.checked_rem(self.gone.len()) else { return };
        let said = self.pool.open(&self.gone[index]);
        let gone = matches!(
            said,
            Err(Error::Stale { .. }
                | Error::DoubleFree { .. }
                | Error::NotABlock { .. }
                | Error::WrongState { .. })
        );
        assert!(gone, "{said:?}");
    }

    fn write_and_read(&mut self, which: usize, how: usize) {
        let Some(index) = which.checked_rem(self.owned.len()) else { return };
        let (known, memory) = &mut self.owned[index];
        known.value = how as u8;
        memory.fill(known.value).unwrap();
        assert_filled(*known, |bytes| memory.read(0, bytes));
        assert!(memory.write(known.bytes, &[1]).is_err() && memory.read(known.bytes, &mut [1]).is_err());
    }

    fn view(&mut self, which: usize, how: usize) {
        let Some((index, opened)) = self.opened(which, how) else { return };
        let (known, ..) = self.published[index];
        // At both ends, and one too far.
        let offset = how as u64 * 7 % (known.bytes + 2);
        let left = known.bytes.saturating_sub(offset);
        let bytes = [0, 1, left, left + 1][which % 4];
        match opened.clone_view(offset, bytes) {
            Ok(view) => {
                assert!(offset + bytes <= known.bytes && !view.is_original());
                assert_filled(Known { bytes, ..known }, |bytes| view.read(0, bytes));
                assert_eq!(view.free(), Err(Error::NotOriginal));
            }
            Err(error) => {
                assert!(offset + bytes > known.bytes && matches!(error, Error::OutOfRange { .. }));
            }
        }
    }

    /// Between two calls nobody acts.
    fn verify(&self) {
        let verification = self.pool.verify(Mode::Quiesced);
        assert!(verification.holds(), "{:#?}", verification.findings);
        let blocks = (self.owned.len() + self.published.len()) as u64;
        assert_eq!((verification.blocks, self.pool.usage().total.blocks), (blocks, blocks));
        assert!((INITIAL..=MAXIMUM).contains(&self.pool.size()));
    }

    /// All is given back, and the pool can be had in one piece.
    fn end(mut self) {
        self.verify();
        while !self.owned.is_empty() {
            self.free(0, self.owned.len());
        }
        while !self.published.is_empty() {
            self.free_published(0, self.published.len());
        }
        self.verify();
        drop(self.pool.alloc(MAXIMUM).expect("the pool in one piece"));
        self.verify();
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        let _destroyed_before = self.pool.destroy();
    }
}

fn assert_filled(known: Known, read: impl FnOnce(&mut [u8]) -> Result<(), Error>) {
    let mut bytes = vec![!known.value; known.bytes as usize];
    read(&mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == known.value), "somebody wrote into {known:?}");
}
