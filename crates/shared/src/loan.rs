//! Shares of an owner that cost nothing to take and to give back.
//!
//! An [`Arc`] is counted by a locked instruction at each clone and drop, on a line that all threads share: dearer than
//! all else that an allocation does. Here the shares are counted by the thousand. A thread keeps a [`Stock`] of them
//! and hands them out as [`Loan`]s; what another thread gives back goes to that one's stock. Only a stock that runs
//! empty or over touches the count. All shares together hold one count of the [`Arc`].
//!
//! Source: weighted reference counting (Bevan 1987; Watson and Watson 1987), with a stock a thread.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr;
use std::sync::{Arc, Weak};

use weyr_atomic::{AtomicU64, Ordering};

/// Shares that a stock takes or gives back at once.
const BATCH: u64 = 1024;

/// What is lent, with the number of shares that there are; derefs to it.
#[derive(Debug)]
pub struct Lender<T> {
    shares: AtomicU64,
    value: T,
}

impl<T> Lender<T> {
    /// Nothing of it is lent yet.
    pub fn new(value: T) -> Self {
        Self { shares: AtomicU64::new(0), value }
    }
}

impl<T> Deref for Lender<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Adds shares of `owner`; the caller makes loans or a stock of them.
fn issue<T>(owner: &Arc<Lender<T>>, shares: u64) {
    // AcqRel: pairs with `withdraw`. Whoever comes from zero holds `owner`, and nobody else has a share to withdraw
    // before the count below is up.
    if owner.shares.fetch_add(shares, Ordering::AcqRel) == 0 {
        std::mem::forget(Arc::clone(owner));
    }
}

/// Takes shares back; `owner` may be gone afterwards.
///
/// # Safety
/// The caller has `shares` shares of `owner`, and uses neither again.
unsafe fn withdraw<T>(owner: *const Lender<T>, shares: u64) {
    // SAFETY: the shares still hold a count of the owner.
    let count = unsafe { &(*owner).shares };
    // AcqRel: what was done with the shares comes before the end of the owner.
    if count.fetch_sub(shares, Ordering::AcqRel) == shares {
        // SAFETY: the count that `issue` forgot when it came from zero.
        unsafe { Arc::decrement_strong_count(owner) }
    }
}

/// The caller's word that a handle which it forgot is taken back.
///
/// Safe code cannot make one:
///
/// ```compile_fail,E0133
/// let forgotten = weyr_shared::Forgotten::assume();
/// ```
#[derive(Debug)]
pub struct Forgotten(());

impl Forgotten {
    /// Vouches for one call, in which it is used.
    ///
    /// # Safety
    /// What the call names was a handle made from the same owner, in this life of the process (not before a fork), and
    /// given to [`std::mem::forget`]. It is taken back once, and whatever is left of references to what it owned is
    /// used no more while the new handle is.
    pub const unsafe fn assume() -> Self {
        Self(())
    }
}

/// One share of an owner; derefs to it.
pub struct Loan<T> {
    /// Not counted by itself: the shares hold the count.
    owner: ManuallyDrop<Arc<Lender<T>>>,
}

impl<T> Loan<T> {
    /// A share by itself, counted at once.
    pub fn single(owner: &Arc<Lender<T>>) -> Self {
        issue(owner, 1);
        Self::issued(owner)
    }

    /// The share of a loan that was forgotten.
    pub fn regained(owner: &Arc<Lender<T>>, _of_a_loan: Forgotten) -> Self {
        Self::issued(owner)
    }

    /// A share that was counted before.
    #[inline(always)]
    fn issued(owner: &Arc<Lender<T>>) -> Self {
        // SAFETY: a second Arc that is never dropped, and is used only while a share holds a count.
        Self { owner: ManuallyDrop::new(unsafe { ptr::read(owner) }) }
    }
}

impl<T> Deref for Loan<T> {
    type Target = Arc<Lender<T>>;

    #[inline(always)]
    fn deref(&self) -> &Arc<Lender<T>> {
        &self.owner
    }
}

impl<T> Drop for Loan<T> {
    fn drop(&mut self) {
        // SAFETY: the share that this loan is.
        unsafe { withdraw(Arc::as_ptr(&self.owner), 1) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Loan<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.owner.fmt(f)
    }
}

/// Shares of one owner that a thread has at hand. Keeps the owner alive while it has any.
#[derive(Debug)]
pub struct Stock<T> {
    owner: *const Lender<T>,
    shares: u64,
}

// SAFETY: shares are numbers; what they keep alive is used through its `Arc` only.
unsafe impl<T: Send + Sync> Send for Stock<T> {}

impl<T> Stock<T> {
    /// An empty stock for shares of `owner`, which it does not keep alive yet.
    pub fn of(owner: &Weak<Lender<T>>) -> Self {
        Self { owner: owner.as_ptr(), shares: 0 }
    }

    /// A share of `owner`, from the stock if it is one of that.
    #[inline(always)]
    pub fn lend(&mut self, owner: &Arc<Lender<T>>) -> Loan<T> {
        if self.shares == 0 || self.owner != Arc::as_ptr(owner) {
            return self.refill(owner);
        }
        self.shares -= 1;
        Loan::issued(owner)
    }

    #[cold]
    fn refill(&mut self, owner: &Arc<Lender<T>>) -> Loan<T> {
        if self.owner != Arc::as_ptr(owner) {
            return Loan::single(owner);
        }
        issue(owner, BATCH);
        self.shares += BATCH - 1;
        Loan::issued(owner)
    }

    /// Puts a share back, whoever had taken it.
    #[inline(always)]
    pub fn put_back(&mut self, loan: Loan<T>) {
        if self.shares >= 2 * BATCH || self.owner != Arc::as_ptr(&loan) {
            return self.put_back_slowly(loan);
        }
        std::mem::forget(loan);
        self.shares += 1;
    }

    #[cold]
    fn put_back_slowly(&mut self, loan: Loan<T>) {
        drop(loan);
        if self.shares > BATCH {
            self.give_up(BATCH);
        }
    }

    fn give_up(&mut self, shares: u64) {
        self.shares -= shares;
        if shares > 0 {
            // SAFETY: shares of this stock, which has forgotten them.
            unsafe { withdraw(self.owner, shares) }
        }
    }
}

impl<T> Drop for Stock<T> {
    fn drop(&mut self) {
        self.give_up(self.shares);
    }
}

#[cfg(all(test, not(any(weyr_face = "loom", weyr_face = "explore"))))]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Owner {
        ended: Arc<AtomicU64>,
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            self.ended.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn owner() -> (Arc<Lender<Owner>>, impl Fn() -> u64) {
        let owner = Arc::new(Lender::new(Owner { ended: Arc::new(AtomicU64::new(0)) }));
        let ended = Arc::clone(&owner.ended);
        (owner, move || ended.load(Ordering::SeqCst))
    }

    #[test]
    fn a_loan_keeps_its_owner_and_the_last_share_lets_it_go() {
        let (owner, ended) = owner();
        let mut stock = Stock::of(&Arc::downgrade(&owner));
        let loans: Vec<_> = (0..3 * BATCH).map(|_| stock.lend(&owner)).collect();
        drop(owner);
        drop(stock);
        let mut loans = loans.into_iter();
        let last = loans.next();
        drop(loans);
        assert_eq!(ended(), 0);
        drop(last);
        assert_eq!(ended(), 1);
    }

    #[test]
    fn a_loan_that_is_forgotten_keeps_its_owner_until_it_is_taken_back() {
        let (owner, ended) = owner();
        let address = Arc::downgrade(&owner);
        std::mem::forget(Loan::single(&owner));
        drop(owner);
        assert_eq!(ended(), 0);
        let owner = address.upgrade().unwrap();
        // SAFETY: the loan forgotten above, once.
        let regained = Loan::regained(&owner, unsafe { Forgotten::assume() });
        drop(owner);
        assert_eq!(ended(), 0);
        drop(regained);
        assert_eq!(ended(), 1);
    }

    #[test]
    fn a_stock_keeps_its_owner_and_gives_back_what_is_too_much() {
        let (owner, ended) = owner();
        let mut stock = Stock::of(&Arc::downgrade(&owner));
        (0..5 * BATCH).for_each(|_| stock.put_back(Loan::single(&owner)));
        assert!(stock.shares <= 2 * BATCH);
        assert_eq!(owner.shares.load(Ordering::Relaxed), stock.shares);
        drop(owner);
        assert_eq!(ended(), 0);
        drop(stock);
        assert_eq!(ended(), 1);
    }

    #[test]
    fn shares_of_another_owner_do_not_mix() {
        let ((first, first_ended), (second, second_ended)) = (owner(), owner());
        let mut stock = Stock::of(&Arc::downgrade(&first));
        let loan = stock.lend(&second);
        assert!(Arc::ptr_eq(&loan, &second));
        stock.put_back(loan);
        drop(second);
        assert_eq!((first_ended(), second_ended()), (0, 1));
        drop((stock, first));
        assert_eq!(first_ended(), 1);
    }

    #[test]
    fn threads_hand_loans_to_each_other() {
        let (owner, ended) = owner();
        let (give, take) = std::sync::mpsc::channel::<Loan<Owner>>();
        std::thread::scope(|scope| {
            let giver = Arc::clone(&owner);
            scope.spawn(move || {
                let mut stock = Stock::of(&Arc::downgrade(&giver));
                (0..10_000).for_each(|_| give.send(stock.lend(&giver)).unwrap());
            });
            let mut stock = Stock::of(&Arc::downgrade(&owner));
            take.into_iter().for_each(|loan| stock.put_back(loan));
        });
        assert_eq!((ended(), owner.shares.load(Ordering::Relaxed)), (0, 0));
        drop(owner);
        assert_eq!(ended(), 1);
    }
}
