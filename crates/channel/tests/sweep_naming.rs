//! Death, and a stop, at the machine instructions of making a channel with a name: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

use std::path::Path;

use weyr_channel::{Channel, ChannelAttributes};
use weyr_kill::{FileSegment, Moment, Point, Report, Stops, Sweep};
use weyr_managed::{Mode as Verified, Pool, PoolAttributes};

fn attributes() -> ChannelAttributes {
    ChannelAttributes::new().block_size(64).capacity(2)
}

/// Whoever looks gets a channel that works, the same as all others; and only that one is left of the dead.
fn look(path: &Path, point: &Point) {
    let pool = Pool::attach_path(path).unwrap();
    if point.moment != Moment::Stopped {
        pool.recover();
        assert_eq!(pool.members().len(), 1);
    }
    let channel = Channel::attach_or_create(&pool, "wanted", &attributes()).unwrap();
    let again = Channel::attach_named(&pool, "wanted").unwrap();
    assert_eq!(channel.descriptor(), again.descriptor());
    again.try_send(b"through").unwrap();
    assert_eq!(channel.try_receive().unwrap().into_bytes().unwrap(), b"through");
    if point.moment == Moment::Stopped {
        return;
    }
    drop(again);
    assert_eq!(pool.channel_blocks().len(), 1);
    channel.destroy().unwrap();
    let verification = pool.verify(Verified::Quiesced);
    assert!(verification.holds() && verification.blocks == 0, "{verification:#?}");
}

#[test]
fn making_a_channel_with_a_name() {
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let pool = PoolAttributes::new("naming", 128 << 10).directory(directory.path()).page_size(4096);
    let pool = Pool::create(&pool.processes(4).lanes(8).channels(4)).unwrap();
    let path = pool.path().to_owned();
    drop(pool);
    let segment = FileSegment::open(&path).unwrap();
    // With memory at hand, so that the channel is all that is made.
    let prepare = || {
        let pool = Pool::attach_path(&path).unwrap();
        drop(pool.alloc(1000).unwrap());
        (pool, None)
    };
    let create = |(pool, channel): &mut (Pool, Option<Channel>)| {
        *channel = Channel::create_named(pool, "wanted", &attributes()).ok();
    };
    let look = |point: &Point| {
        look(&path, point);
        Ok(())
    };
    let sweep = Sweep::new("channel, create named", &segment).floor(10);
    let reports = sweep.kill_and_stop(8, &Stops::anywhere(10), prepare, create, look);
    reports.unwrap().iter().for_each(Report::assert_clean);
}
