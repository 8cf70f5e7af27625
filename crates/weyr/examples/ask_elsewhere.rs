//! A process that cannot reach a pool asks another, over a socket pair, and gets answers and errors as if it could.
//!
//! The parent has the pool and serves requests on it. The child plays another host: it is given the pool's descriptor in
//! an environment variable, and one end of a socket pair as its standard input.

#![allow(clippy::print_stdout, reason = "an example talks")]

use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;

use weyr::managed::{MESSAGE_LIMIT, RequestKind};
use weyr::prelude::*;
use weyr::{Completion, PoolReference, Request, Response, managed};

const VARIABLE: &str = "EXAMPLE_POOL";
const FRAME: u32 = 7;

/// How messages travel is the program's business: here each has its length in front.
fn write_message(socket: &mut UnixStream, bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(&(bytes.len() as u32).to_le_bytes())?;
    socket.write_all(bytes)
}

/// None at the end of the stream.
fn read_message(socket: &mut UnixStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if socket.read(&mut length[..1])? == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut length[1..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MESSAGE_LIMIT {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// Executes what it is asked for until nobody asks any more; who may destroy the pool is for it to say.
fn serve(pool: &Pool, mut socket: UnixStream) -> Result<u32, Box<dyn Error>> {
    let mut served = 0;
    while let Some(bytes) = read_message(&mut socket)? {
        let request = Request::from_bytes(&bytes)?;
        let response = match request.kind() {
            RequestKind::Destroy => {
                let name = pool.name().to_owned();
                Response::refusal(&request, managed::Error::PermissionDenied { name })
            }
            _ => request.execute(),
        };
        write_message(&mut socket, &response.to_bytes())?;
        served += 1;
    }
    Ok(served)
}

struct Elsewhere(UnixStream);

impl Elsewhere {
    fn ask<T>(&mut self, (request, completion): (Request, Completion<T>)) -> Result<T, Box<dyn Error>> {
        write_message(&mut self.0, &request.to_bytes())?;
        let response = read_message(&mut self.0)?.ok_or("nobody answers")?;
        Ok(completion.complete(&Response::from_bytes(&response)?)?)
    }
}

fn child() -> Result<(), Box<dyn Error>> {
    let pool = PoolReference::attach_from_environment(VARIABLE)?;
    println!("the pool {} is elsewhere: {}", pool.file_name().display(), pool.local().unwrap_err());
    let pool = pool.descriptor();
    let mut there = Elsewhere(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?));

    let frame = there.ask(Request::allocate_typed(pool, 4096, FRAME, 42))?;
    println!("allocated {} bytes at {:#x} of it", frame.view_bytes, frame.reference.offset);
    println!("found again: {}", there.ask(Request::find(pool, FRAME, 42))? == frame);
    println!("once more: {}", there.ask(Request::allocate_typed(pool, 4096, FRAME, 42)).unwrap_err());
    println!("more than it has: {}", there.ask(Request::allocate(pool, 1 << 40)).unwrap_err());
    there.ask(Request::free(pool, &frame))?;
    println!("left in it: {} allocations", there.ask(Request::usage(pool))?.total.blocks);
    println!("its end: {}", there.ask(Request::destroy(pool)).unwrap_err());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(VARIABLE).is_some() {
        return child();
    }
    let pool = Pool::create(&PoolAttributes::new(format!("ask-elsewhere-{}", std::process::id()), 1 << 20))?;
    let (here, there) = UnixStream::pair()?;
    let mut child = Command::new(std::env::current_exe()?)
        .env(VARIABLE, pool.descriptor().to_string())
        .env("WEYR_HOST_ID", "another host")
        .stdin(OwnedFd::from(there))
        .spawn()?;
    let served = serve(&pool, here)?;
    println!("served {served} requests; the child {}", child.wait()?);
    Ok(pool.destroy()?)
}
