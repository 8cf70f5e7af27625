//! Death, and a stop, at the machine instructions of setting attributes: in the build that users run.
//!
//! A sample of the points is run; `WEYR_SWEEP=full` runs all.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod scratch;
mod swept;

use swept::{Ground, look, warm};
use weyr_kill::{Choice, Point, Points, Stops};
use weyr_managed::{Attributes, Growth, Pool};

const OLD: (Option<u32>, Growth) = (Some(0o600), Growth::UpTo(512 << 10));
const NEW: (Option<u32>, Growth) = (Some(0o640), Growth::UpTo(256 << 10));

fn with(mut attributes: Attributes, (mode, growth): (Option<u32>, Growth)) -> Attributes {
    (attributes.mode, attributes.growth) = (mode, growth);
    attributes
}

/// Each attribute is the old one or the new one, and then it can be set.
fn look_at_attributes(ground: &Ground, point: &Point) -> Result<(), String> {
    let pool = ground.attach();
    let found = pool.attributes().map_err(|error| error.to_string())?;
    if ![OLD.0, NEW.0].contains(&found.mode) || ![OLD.1, NEW.1].contains(&found.growth) {
        return Err(format!("{found:?}"));
    }
    pool.set_attributes(&with(found, OLD)).map_err(|error| error.to_string())?;
    drop(pool);
    look(ground, point.moment)
}

#[test]
fn setting_attributes() {
    if !swept::allows_growth("set attributes") {
        return;
    }
    let ground = Ground::new("attributes", OLD.1);
    let with_wish = |ground: &Ground| {
        let pool = warm(ground);
        let wanted = with(pool.attributes().unwrap(), NEW);
        (pool, wanted)
    };
    let anywhere = Stops::at(Points::Instructions, Choice::drawn(10, 100));
    let operate = |held: &mut (Pool, Attributes)| drop(held.0.set_attributes(&held.1).unwrap());
    let look = |point: &Point| look_at_attributes(&ground, point);
    swept::kill_and_stop_at(&anywhere, "set attributes", &ground, 2, with_wish, operate, look);
}
