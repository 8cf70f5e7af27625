//! The thread's own: which channels somebody wants to be told of, and who.
//!
//! Futures that wait for one channel share its place in the set; a watch has one to itself, for it is told of changes
//! and not of what is so. A channel that nobody waits for any more keeps its place until the thread finds nothing to do
//! for a while: who has just received will want the next message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::awaited::Interest;
use super::inbox::{Inbox, Order};
use crate::channel::Shared;
use crate::error::Blocked;
use crate::set::{Ready, SetKey};
use crate::watch::Watched;
use crate::{ChannelSet, Error, PollEvents};

/// How long a channel keeps its place that nobody waits for.
const IDLE: Duration = Duration::from_millis(50);

/// A channel, however often this process is attached to it: its pool, and offset and generation of its block; and whether
/// changes of it are waited for.
type Identity = (u128, u64, u64, bool);

fn identity(channel: &Shared, blocked: Blocked) -> Identity {
    let block = channel.attached.block();
    let by_changes = blocked == Blocked::ByShare;
    (channel.attached.host().pool().uuid(), block.offset, block.generation, by_changes)
}

/// A channel that futures wait for, or have waited for until now.
#[derive(Debug)]
struct Told {
    key: SetKey,
    identity: Identity,
    /// What it is in the set for.
    events: PollEvents,
    interests: Vec<Arc<Interest>>,
}

/// A channel that is watched.
#[derive(Debug)]
struct Watch {
    key: SetKey,
    watched: Arc<Watched>,
}

/// All channels, and who wants to be told.
#[derive(Debug)]
pub(super) struct Desk {
    set: ChannelSet,
    inbox: Arc<Inbox>,
    tokens: HashMap<Identity, u64>,
    told: HashMap<u64, Told>,
    /// Tokens of the channels that futures wait for, by the futures' numbers.
    places: HashMap<u64, u64>,
    /// By their numbers, which are their tokens, too.
    watches: HashMap<u64, Watch>,
}

impl Desk {
    pub(super) fn new(set: ChannelSet, inbox: Arc<Inbox>) -> Self {
        let (tokens, told) = (HashMap::new(), HashMap::new());
        Self { set, inbox, tokens, told, places: HashMap::new(), watches: HashMap::new() }
    }

    /// Does what is ordered, and tells of what happens, until the process ends.
    pub(super) fn work(mut self) {
        let mut ready = Vec::new();
        loop {
            for order in self.inbox.take() {
                self.follow(order);
            }
            match self.wait(&mut ready) {
                Ok(()) => ready.drain(..).for_each(|ready| self.tell(&ready)),
                Err(Error::Timeout) => self.drop_idle(),
                Err(error) => {
                    tracing::error!(%error, "channels are no longer waited for");
                    return;
                }
            }
        }
    }

    fn wait(&mut self, ready: &mut Vec<Ready>) -> Result<(), Error> {
        let is_idle = self.told.values().any(|told| told.interests.is_empty());
        if is_idle {
            self.set.wait_until(ready, Instant::now() + IDLE)?;
        } else {
            self.set.wait(ready)?;
        }
        Ok(())
    }

    fn follow(&mut self, order: Order) {
        match order {
            Order::Await(channel, interest) => {
                if let Err(error) = self.take_in(channel, &interest) {
                    interest.refuse(error);
                }
            }
            Order::Forget(future) => self.forget(future),
            Order::Watch(channel, watched) => self.watch(channel, watched),
            Order::Update(watched) => self.update(&watched),
            Order::Unwatch(watch) => self.unwatch(watch),
        }
    }
}

/// Futures.
impl Desk {
    fn take_in(&mut self, channel: Arc<Shared>, interest: &Arc<Interest>) -> Result<(), Error> {
        if !interest.is_waiting() {
            return Ok(());
        }
        let identity = identity(&channel, interest.blocked);
        let token = match self.tokens.get(&identity) {
            Some(token) => *token,
            None => self.enter(channel, identity, interest)?,
        };
        if let Some(told) = self.told.get_mut(&token) {
            told.interests.push(Arc::clone(interest));
            self.places.insert(interest.number, token);
        }
        self.adapt(token)
    }

    /// A place for a channel, under the number of the first future that waits for it.
    fn enter(&mut self, channel: Arc<Shared>, identity: Identity, first: &Interest) -> Result<u64, Error> {
        let (token, events) = (first.number, first.events);
        let key = match first.blocked {
            Blocked::ByState => self.set.add_shared(channel, events, token)?,
            Blocked::ByShare => self.set.add_shared_changes(channel, events, token)?,
        };
        self.tokens.insert(identity, token);
        self.told.insert(token, Told { key, identity, events, interests: Vec::new() });
        Ok(token)
    }

    fn forget(&mut self, future: u64) {
        let Some(token) = self.places.remove(&future) else { return };
        if let Some(told) = self.told.get_mut(&token) {
            told.interests.retain(|interest| interest.number != future);
        }
        self.adapt_or_drop(token);
    }

    /// Has the channel waited for by all that somebody waits for.
    fn adapt(&mut self, token: u64) -> Result<(), Error> {
        let Some(told) = self.told.get_mut(&token) else { return Ok(()) };
        let all = told.interests.iter().fold(PollEvents::NONE, |all, interest| all | interest.events);
        if all == told.events {
            return Ok(());
        }
        told.events = all;
        self.set.modify(told.key, all)
    }

    /// The same; where it cannot be waited for, all are told so.
    fn adapt_or_drop(&mut self, token: u64) {
        if let Err(error) = self.adapt(token) {
            self.drop_channel(token, |interest| interest.refuse(error.clone()));
        }
    }

    fn drop_channel(&mut self, token: u64, end: impl Fn(&Interest)) {
        let Some(told) = self.told.remove(&token) else { return };
        self.tokens.remove(&told.identity);
        let _gone_already = self.set.remove(told.key);
        for interest in told.interests {
            self.places.remove(&interest.number);
            end(&interest);
        }
    }

    fn drop_idle(&mut self) {
        let idle = self.told.iter().filter(|(_, told)| told.interests.is_empty());
        let idle: Vec<u64> = idle.map(|(token, _)| *token).collect();
        idle.into_iter().for_each(|token| self.drop_channel(token, Interest::wake));
    }

    /// Wakes every future that waits for what the channel is. Each tries for itself: one alone might be given up before
    /// it does.
    fn wake(&mut self, ready: &Ready) {
        let Some(told) = self.told.get_mut(&ready.token) else { return };
        let (woken, left) = std::mem::take(&mut told.interests)
            .into_iter()
            .partition::<Vec<_>, _>(|interest| interest.events.meets(ready.events));
        told.interests = left;
        for interest in woken {
            interest.wake();
            // Who is told of changes stays, to be told of the next.
            match interest.blocked {
                Blocked::ByShare => told.interests.push(interest),
                Blocked::ByState => drop(self.places.remove(&interest.number)),
            }
        }
        self.adapt_or_drop(ready.token);
    }
}

/// Watches.
impl Desk {
    fn watch(&mut self, channel: Arc<Shared>, watched: Arc<Watched>) {
        match self.set.add_shared_changes(channel, watched.events(), watched.number()) {
            Ok(key) => {
                self.watches.insert(watched.number(), Watch { key, watched });
            }
            Err(error) => watched.end(error),
        }
    }

    fn update(&mut self, watched: &Watched) {
        let Some(watch) = self.watches.get(&watched.number()) else { return };
        if let Err(error) = self.set.modify(watch.key, watched.events()) {
            watch.watched.end(error);
            self.unwatch(watched.number());
        }
    }

    fn unwatch(&mut self, watch: u64) {
        if let Some(watch) = self.watches.remove(&watch) {
            let _gone_already = self.set.remove(watch.key);
        }
    }
}

/// Telling.
impl Desk {
    fn tell(&mut self, ready: &Ready) {
        let watched = self.watches.get(&ready.token).map(|watch| Arc::clone(&watch.watched));
        match (watched, &ready.error) {
            (Some(watched), None) => watched.notify(ready.events),
            (Some(watched), Some(error)) => {
                watched.end(error.clone());
                self.unwatch(ready.token);
            }
            (None, None) => self.wake(ready),
            // Each finds the error where it tries.
            (None, Some(_)) => self.drop_channel(ready.token, Interest::wake),
        }
    }
}
