//! demo
pub(crate) mod reader {
    use crate::{arguments::*, failure::Failure};
    pub(crate) fn run(_: &ReaderArguments) -> Result<(), Failure> {
        Ok(())
    }
}
pub(crate) mod worker {
    use crate::{arguments::*, failure::Failure};
    pub(crate) fn run(_: &WorkerArguments) -> Result<(), Failure> {
        Ok(())
    }
}
use crate::{arguments::*, failure::Failure, output::Output};
pub(crate) fn run(_: &DemoArguments, _: &Output) -> Result<(), Failure> {
    Ok(())
}
