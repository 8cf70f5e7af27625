//! Every call that there is. What it says is not looked at, but for `Corrupt`; that it says something is.

use std::time::{Duration, Instant};

use weyr_channel::{Channel, ChannelAttributes, Error, Lease, Message, WaitMode};
use weyr_managed::{
    Allocation, AllocationDescriptor, BlockReference, Error as PoolError, Mode, Pool, Published,
};

use crate::ground::Ground;
use crate::random::Random;

pub(crate) struct Caller<'g> {
    pool: Pool,
    ground: &'g Ground,
    random: &'g mut Random,
    channel: Option<Channel>,
    held: Vec<Allocation>,
    published: Vec<Published>,
    leases: Vec<Lease>,
    corrupt: u64,
}

fn soon() -> Instant {
    Instant::now() + Duration::from_micros(300)
}

impl<'g> Caller<'g> {
    pub(crate) fn new(pool: Pool, ground: &'g Ground, random: &'g mut Random) -> Self {
        let (held, published, leases) = (Vec::new(), Vec::new(), Vec::new());
        Self { pool, ground, random, channel: None, held, published, leases, corrupt: 0 }
    }

    /// What an error says of the memory.
    fn of_pool<T>(&mut self, said: Result<T, PoolError>) -> Option<T> {
        self.corrupt += u64::from(matches!(said, Err(PoolError::Corrupt(_))));
        said.ok()
    }

    fn of_channel<T>(&mut self, said: Result<T, Error>) -> Option<T> {
        let corrupt = match &said {
            Err(Error::Corrupt(_)) => true,
            Err(Error::Pool(error)) => matches!(**error, PoolError::Corrupt(_)),
            _ => false,
        };
        self.corrupt += u64::from(corrupt);
        said.ok()
    }

    pub(crate) fn make_some(&mut self, calls: u64) {
        let attached = Channel::attach_in(&self.pool, &self.ground.channel);
        self.channel = self.of_channel(attached);
        for _ in 0..calls {
            self.alloc();
            if self.random.one_in(2) {
                self.send();
            }
        }
    }

    /// Returns how often memory was called corrupt.
    pub(crate) fn make_all(&mut self) -> u64 {
        if self.channel.is_none() {
            self.make_some(0);
        }
        for _ in 0..60 {
            match self.random.below(12) {
                0..3 => self.alloc(),
                3 => self.free(),
                4 => self.publish(),
                5 => self.open(),
                6 => self.send(),
                7 => self.receive(),
                8 => self.lease(),
                9 => self.end_lease(),
                10 => self.make_a_channel(),
                _ => self.look(),
            }
        }
        self.leave();
        self.corrupt
    }

    fn alloc(&mut self) {
        let bytes = [0, 64, 100, 500, 2000, 5000, 9000, 40_000, 100_000][self.random.below(9) as usize];
        let said = self.pool.alloc(bytes);
        if let Some(mut memory) = self.of_pool(said) {
            let _said = (memory.fill(1), memory.read(0, &mut [0; 64]), memory.write(0, b"x"));
            self.held.push(memory);
        }
        if self.held.len() > 12 {
            self.free();
        }
    }

    fn take_one(&mut self) -> Option<Allocation> {
        let count = self.held.len() as u64;
        (count > 0).then(|| self.held.swap_remove(self.random.below(count) as usize))
    }

    fn free(&mut self) {
        drop(self.take_one());
    }

    fn publish(&mut self) {
        let Some(memory) = self.take_one() else { return };
        let said = if self.random.one_in(2) { memory.publish() } else { memory.freeze() };
        if let Some(published) = self.of_pool(said) {
            let _said = (published.exists(), published.write(0, b"x"), published.read(0, &mut [0; 8]));
            let _said = published.clone_view(1, 2).map(|view| view.read(0, &mut [0; 2]));
            self.published.push(published);
        }
    }

    fn open(&mut self) {
        let reference =
            BlockReference { offset: self.random.below(1 << 19) & !63, generation: self.random.below(9) };
        let strange = AllocationDescriptor { reference, view_bytes: 1, ..self.ground.published };
        let own = self.published.pop();
        let descriptors = [Some(strange), Some(self.ground.published), own.map(|own| own.descriptor())];
        for descriptor in descriptors.into_iter().flatten() {
            let said = self.pool.open(&descriptor);
            let Some(opened) = self.of_pool(said) else { continue };
            let _said = (opened.read(0, &mut [0; 1]), opened.exists());
            let said = if self.random.one_in(3) { opened.freeze() } else { Ok(opened) };
            let freed = said.and_then(Published::free);
            self.of_pool(freed);
        }
    }

    fn send(&mut self) {
        let Some(channel) = self.channel.clone() else { return };
        let mode = [WaitMode::Spin, WaitMode::Adaptive, WaitMode::Idle][self.random.below(3) as usize];
        let sender = channel.sender().with_wait_mode(mode);
        let said = match self.random.below(3) {
            0 => sender.try_send(b"a letter"),
            1 => sender.send_until(b"a letter", soon()),
            _ => match self.take_one() {
                Some(memory) => sender.send_allocation_until(memory, soon()).map_err(Error::from),
                None => Ok(()),
            },
        };
        self.of_channel(said);
        let _said = (channel.len(), channel.is_empty(), channel.is_destroyed(), channel.statistics());
    }

    fn receive(&mut self) {
        let Some(channel) = self.channel.clone() else { return };
        let receiver = channel.receiver();
        let said = match self.random.below(3) {
            0 => receiver.try_receive().and_then(Message::into_bytes).map(drop),
            1 => receiver.receive_until(soon()).map(|message| drop(message.into_allocation())),
            _ => receiver.receive_into_until(&mut [0; 64], soon()).map(drop),
        };
        self.of_channel(said);
    }

    fn lease(&mut self) {
        let Some(channel) = self.channel.clone() else { return };
        let said = channel.receiver().try_lease();
        if let Some(lease) = self.of_channel(said) {
            let said = lease.bytes();
            self.of_channel(said);
            let _said = (lease.len(), lease.read(0, &mut [0; 16]), lease.is_redelivered());
            self.leases.push(lease);
        }
    }

    fn end_lease(&mut self) {
        let Some(lease) = self.leases.pop() else { return };
        let said = match self.random.below(3) {
            0 => lease.done(),
            1 => lease.take().map(drop),
            _ => return drop(lease),
        };
        self.of_channel(said);
    }

    fn make_a_channel(&mut self) {
        let made = Channel::create(&self.pool, &ChannelAttributes::new().block_size(64).capacity(2));
        let Some(channel) = self.of_channel(made) else { return };
        let said = channel.try_send(b"x");
        self.of_channel(said);
        let said = channel.try_receive().map(drop);
        self.of_channel(said);
        if self.random.one_in(2) {
            let said = channel.destroy();
            self.of_channel(said);
        }
    }

    fn look(&mut self) {
        match self.random.below(6) {
            0 => drop(self.pool.usage()),
            1 => drop(self.pool.verify(Mode::Online)),
            2 => drop(self.pool.verify(Mode::Quiesced)),
            3 => drop((self.pool.members(), self.pool.channel_blocks())),
            4 => drop((self.pool.recover(), self.pool.size(), self.pool.actor())),
            _ => drop(self.ground.inspect().map(|pool| pool.verify(Mode::Online))),
        }
    }

    fn leave(&mut self) {
        self.leases.clear();
        self.held.clear();
        self.published.clear();
        if let Some(channel) = self.channel.take()
            && self.random.one_in(4)
        {
            let said = channel.destroy();
            self.of_channel(said);
        }
    }
}
