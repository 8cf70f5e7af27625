//! `weyr channel watch`.

use std::io::{self, Write};
use std::time::Duration;

use weyr::Pool;
use weyr::managed::Error;

use super::find::Place;
use super::look::{self, Look};
use crate::arguments::LookArguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::pool::watch::look::Event;
use crate::pool::watch::{Watched, watch};

impl Watched for Look {
    fn events(&self) -> &[Event] {
        &[]
    }

    fn draw(&self, to: &mut dyn Write, _: &[Event], room: Option<usize>) -> io::Result<()> {
        look::write(to, self, room)
    }
}

pub(super) fn run(place: &Place, looks: &LookArguments, output: &Output) -> Result<(), Failure> {
    watch(looks, output, |before| match before {
        None => at(place),
        Some((before, elapsed)) => next(place, before, elapsed),
    })
}

fn at(place: &Place) -> Result<Look, Failure> {
    let pool = Pool::inspect(&place.path)?;
    Ok(Look::of(&pool, &place.look(&pool)?))
}

/// The next look, at the same channel.
fn next(place: &Place, before: &Look, elapsed: Duration) -> Result<Look, Failure> {
    let gone = |how: &str| Failure::Wrong(format!("the channel was {how} while it was watched"));
    let pool = match Pool::inspect(&place.path) {
        Err(Error::Destroyed | Error::NoSuchPool { .. }) => {
            return Err(gone("destroyed, and its pool with it,"));
        }
        pool => pool?,
    };
    let details = place.look(&pool).map_err(|_| gone("destroyed"))?;
    let look = Look::of(&pool, &details);
    if look.is_of(before) { Ok(look.since(before, elapsed)) } else { Err(gone("replaced by another")) }
}
