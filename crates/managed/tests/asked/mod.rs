//! Requests that are executed somewhere, and the three steps in one place.
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{PipeReader, PipeWriter, Read, Write};

use weyr_kill::{Child, child};
use weyr_managed::{Completion, Error, Request, Response};

/// The three steps, with bytes between them.
pub(crate) fn ask<T>((request, completion): (Request, Completion<T>)) -> Result<T, Error> {
    let request = Request::from_bytes(&request.to_bytes()).unwrap();
    let response = Response::from_bytes(&request.execute().to_bytes()).unwrap();
    completion.complete(&response)
}

fn write_message(to: &mut impl Write, bytes: &[u8]) {
    to.write_all(&(bytes.len() as u32).to_le_bytes()).unwrap();
    to.write_all(bytes).unwrap();
}

/// None at the end of the stream.
fn read_message(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    from.read_exact(&mut bytes).unwrap();
    Some(bytes)
}

/// A forked child that executes what it is asked for, over pipes.
pub(crate) struct Elsewhere {
    child: Child,
    to_child: PipeWriter,
    from_child: PipeReader,
}

impl Elsewhere {
    pub(crate) fn new() -> Self {
        let (mut requests, to_child) = std::io::pipe().unwrap();
        let (from_child, mut responses) = std::io::pipe().unwrap();
        let serve = move || {
            while let Some(bytes) = read_message(&mut requests) {
                let response = Request::from_bytes(&bytes).unwrap().execute();
                write_message(&mut responses, &response.to_bytes());
            }
        };
        Self { child: child::spawn(serve).unwrap(), to_child, from_child }
    }

    pub(crate) fn ask<T>(&mut self, (request, completion): (Request, Completion<T>)) -> Result<T, Error> {
        write_message(&mut self.to_child, &request.to_bytes());
        let bytes = read_message(&mut self.from_child).expect("the child lives");
        completion.complete(&Response::from_bytes(&bytes).unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(self.child.wait().unwrap().was_killed());
    }
}
