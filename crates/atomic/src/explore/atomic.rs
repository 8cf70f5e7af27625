//! The atomics of the explore face.
//!
//! They have the size and bytes of their values, so they may lie wherever the product puts them. In a model the bytes
//! hold the initial value only; the current one lies in the explorer's state.

use core::sync::atomic::{self, Ordering};

use super::machine;
use super::operation::{Access, Change};

macro_rules! explored_read_modify_writes {
    ($value:ident: $($method:ident $change:ident),*) => {$(
        /// As in `core`; a scheduling point that needs the own store buffer empty.
        pub fn $method(&self, value: $value, order: Ordering) -> $value {
            match self.access(Access::Change(Change::$change(value.into()))) {
                Some(former) => former,
                None => self.0.$method(value, order),
            }
        }
    )*};
}

macro_rules! explored_atomic {
    ($name:ident, $value:ident) => {
        /// The atomic of `core` of the same name; in a model process each access is a scheduling point.
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name(atomic::$name);

        impl $name {
            /// An atomic that holds `value`.
            pub const fn new(value: $value) -> Self {
                Self(atomic::$name::new(value))
            }

            pub(crate) fn address(&self) -> usize {
                std::ptr::from_ref(self).addr()
            }

            pub(crate) fn initial(&self) -> u64 {
                self.0.load(Ordering::Relaxed).into()
            }

            /// `None`: the access is the real atomic's.
            fn access(&self, access: Access) -> Option<$value> {
                machine::access(self.address(), size_of::<$value>(), || self.initial(), access)
                    .map(|value| value as $value)
            }

            /// As in `core`; a scheduling point. Sees the own store buffer first.
            pub fn load(&self, order: Ordering) -> $value {
                self.access(Access::Load).unwrap_or_else(|| self.0.load(order))
            }

            /// As in `core`; a scheduling point. With store buffers it lands later, unless it is `SeqCst`.
            pub fn store(&self, value: $value, order: Ordering) {
                let locked = order == Ordering::SeqCst;
                if self.access(Access::Store { value: value.into(), locked }).is_none() {
                    self.0.store(value, order);
                }
            }

            /// As in `core`; a scheduling point that needs the own store buffer empty, also when it fails.
            ///
            /// # Errors
            ///
            /// The value found, when it was not `current`.
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let exchange = Change::Exchange { current: current.into(), new: new.into() };
                match self.access(Access::Change(exchange)) {
                    Some(found) if found == current => Ok(found),
                    Some(found) => Err(found),
                    None => self.0.compare_exchange(current, new, success, failure),
                }
            }

            /// [`Self::compare_exchange`]: on x86 the weak one does not fail for nothing either.
            ///
            /// # Errors
            ///
            /// The value found, when it was not `current`.
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            explored_read_modify_writes!($value:
                swap Swap, fetch_add Add, fetch_sub Sub, fetch_or Or, fetch_and And, fetch_max Max);
        }
    };
}

explored_atomic!(AtomicU8, u8);
explored_atomic!(AtomicU32, u32);
explored_atomic!(AtomicU64, u64);
