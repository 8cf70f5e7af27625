//! Ghosts: what the oracle of a model remembers and the product does not know.
//!
//! A ghost lies in the world, is part of the state (saved, restored and fingerprinted with it), and is read and
//! written without a scheduling point, in one step with the access before it. With store buffers that step is the
//! moment a store is buffered, not the moment it lands.

use std::any::Any;
use std::cell::Cell;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;

use super::fingerprint::Fingerprint;
use super::machine;

/// A result that the explorer can keep and give back when it rebuilds a process.
pub trait Recorded {
    /// The value as a word.
    fn to_word(self) -> u64;
    /// The value of a word that `to_word` gave.
    fn from_word(word: u64) -> Self;
}

impl Recorded for () {
    fn to_word(self) -> u64 {
        0
    }
    fn from_word(_word: u64) {}
}

impl Recorded for bool {
    fn to_word(self) -> u64 {
        u64::from(self)
    }
    fn from_word(word: u64) -> Self {
        word != 0
    }
}

macro_rules! recorded_integers {
    ($($integer:ident),*) => {$(
        impl Recorded for $integer {
            fn to_word(self) -> u64 {
                self as u64
            }
            fn from_word(word: u64) -> Self {
                word as $integer
            }
        }
    )*};
}

recorded_integers!(u8, u16, u32, u64, usize);

/// The value of a ghost, whatever its type.
pub(crate) trait GhostValue {
    fn as_any(&self) -> &dyn Any;
}

impl<T: 'static> GhostValue for T {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A value of the oracle, kept in the world. Create it in the closure given to `Model::memory`.
pub struct Ghost<T> {
    index: usize,
    value: PhantomData<Cell<T>>,
}

impl<T: Clone + Hash + 'static> Ghost<T> {
    /// A ghost that holds `value` in the first state.
    ///
    /// # Panics
    ///
    /// Outside the closure given to `Model::memory`.
    #[must_use]
    pub fn new(value: T) -> Self {
        let fingerprint = Fingerprint::of(&value);
        Self { index: machine::add_ghost(Rc::new(value), fingerprint), value: PhantomData }
    }

    /// Changes the value, and returns what `change` returns. Not a scheduling point.
    ///
    /// `change` may panic to report a violation. In a process it runs once, and its result is recorded.
    pub fn update<R: Recorded>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        super::ghost(|| {
            let mut value = self.current();
            let result = change(&mut value);
            let fingerprint = Fingerprint::of(&value);
            machine::set_ghost(self.index, Rc::new(value), fingerprint);
            result
        })
    }

    /// Looks at the value, and returns what `look` returns. Not a scheduling point.
    pub fn read<R: Recorded>(&self, look: impl FnOnce(&T) -> R) -> R {
        super::ghost(|| look(&self.current()))
    }

    /// A copy of the value, for oracles: `at_end`, `invariant`, the condition of `wait_until`, inside `ghost`.
    ///
    /// # Panics
    ///
    /// In a process outside `ghost`: the copy could not be recorded. Use [`Ghost::read`].
    #[must_use]
    pub fn get(&self) -> T {
        assert!(!machine::is_process(), "Ghost::get in a process outside explore::ghost; use Ghost::read");
        self.current()
    }

    fn current(&self) -> T {
        let value = machine::ghost_value(self.index);
        let value = (*value).as_any().downcast_ref::<T>();
        value.expect("a ghost used outside the model that it was created for").clone()
    }
}
