//! No end of a handle asks for private memory, fails or unwinds: it can happen anywhere, also while a panic unwinds.

use weyr::prelude::*;
use weyr_kill::{CountingAllocator, allocations_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

struct World {
    pool: Pool,
    channel: Channel,
}

impl World {
    fn new(test: &str) -> Self {
        let name = format!("drops-{test}-{}", std::process::id());
        let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
        let channel = Channel::create(&pool, &ChannelAttributes::new().block_size(64).capacity(4)).unwrap();
        Self { pool, channel }
    }

    /// Drops what `make` makes: the first one of this thread, one of the next, and one in another thread.
    fn drops<T: Send>(&self, what: &str, make: impl Fn(&Self) -> T) {
        for time in ["first", "second"] {
            let made = make(self);
            assert_eq!(allocations_during(|| drop(made)).0, 0, "{what}, {time}");
        }
        let made = make(self);
        let elsewhere = std::thread::scope(|scope| {
            let dropping = scope.spawn(|| {
                // Its own part in the pool comes with its first use of it.
                drop(self.pool.alloc(64).unwrap());
                allocations_during(|| drop(made)).0
            });
            dropping.join().unwrap()
        });
        assert_eq!(elsewhere, 0, "{what}, in another thread");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.pool.destroy().unwrap();
    }
}

#[test]
fn what_counts_counts() {
    assert_eq!(allocations_during(|| std::hint::black_box(vec![0_u8; 100])).0, 1);
    assert_eq!(allocations_during(|| ()).0, 0);
}

#[test]
fn allocations_of_every_size_end_without_private_memory() {
    let world = World::new("allocation");
    for bytes in [0, 64, 500, 5000, 100_000] {
        world.drops("an allocation", |world| world.pool.alloc(bytes).unwrap());
    }
}

/// Many blocks of many slabs, so that those kept at hand go back to their slabs and slabs become available or go back
/// to the pool; in this order, backwards, or far from each other.
#[test]
fn many_allocations_end_without_private_memory() {
    let world = World::new("many");
    for bytes in [64, 300, 2000, 5000, 40_000] {
        for stride in [1, 319, 37, 111] {
            let many = (0..320).map_while(|_| world.pool.alloc(bytes).ok());
            let mut many: Vec<Option<Allocation>> = many.map(Some).collect();
            let count = many.len();
            let (asked, ()) = allocations_during(|| {
                (0..320).for_each(|turn| drop(many[turn * stride % count].take()));
                many.iter_mut().for_each(|left| drop(left.take()));
            });
            assert_eq!(asked, 0, "{count} of {bytes} bytes, every {stride}th");
        }
    }
}

#[test]
fn published_and_typed_memory_ends_without_private_memory() {
    let world = World::new("typed");
    world.drops("published memory", |world| world.pool.alloc(100).unwrap().publish().unwrap());
    world.drops("frozen memory", |world| world.pool.alloc(100).unwrap().freeze().unwrap());
    world.drops("an owned value", |world| world.pool.owned(&[1_u64; 9]).unwrap());
    world.drops("a frozen value", |world| world.pool.owned(&[1_u64; 9]).unwrap().freeze().unwrap());
    world.drops("a shared value", |world| world.pool.owned(&[1_u64; 9]).unwrap().share().unwrap());
}

#[test]
fn handles_on_channels_end_without_private_memory() {
    let world = World::new("channel");
    world.drops("a sender", |world| world.channel.sender());
    world.drops("a receiver", |world| world.channel.receiver());
    world.drops("a clone of a channel", |world| world.channel.clone());
    world.drops("a second attachment", |world| {
        Channel::attach_in(&world.pool, &world.channel.descriptor()).unwrap()
    });
    world.drops("a channel", |world| {
        Channel::create(&world.pool, &ChannelAttributes::new().block_size(64).capacity(4)).unwrap()
    });
    let send = |world: &World, bytes: u64| {
        world.channel.send_allocation(world.pool.alloc(bytes).unwrap()).unwrap();
    };
    world.drops("a message with an allocation", |world| {
        send(world, 500);
        world.channel.receive().unwrap()
    });
    while world.channel.try_receive().is_ok() {}
    world.drops("a lease", |world| {
        if world.channel.is_empty().unwrap() {
            send(world, 500);
        }
        world.channel.lease().unwrap()
    });
    world.drops("a lease that was looked at", |world| {
        let lease = world.channel.lease().unwrap();
        lease.read(0, &mut [0; 8]).unwrap();
        lease
    });
}

#[test]
fn the_last_handle_of_a_destroyed_channel_and_of_a_pool_ends_without_private_memory() {
    let name = format!("drops-last-{}", std::process::id());
    let pool = Pool::create(&PoolAttributes::new(name, 1 << 20)).unwrap();
    let channel = Channel::create(&pool, &ChannelAttributes::new().block_size(64).capacity(4)).unwrap();
    let other = Channel::attach_in(&pool, &channel.descriptor()).unwrap();
    let path = pool.path().to_owned();
    channel.send_allocation(pool.alloc(500).unwrap()).unwrap();
    other.destroy().unwrap();
    assert_eq!(allocations_during(|| drop(channel)).0, 0, "the last handle of a destroyed channel");
    assert_eq!(pool.usage().total.blocks, 0);
    let again = pool.clone();
    assert_eq!(allocations_during(|| drop(again)).0, 0, "a clone of a pool");
    assert_eq!(allocations_during(|| drop(pool)).0, 0, "a pool's last handle");
    Pool::attach_path(&path).unwrap().destroy().unwrap();
}
