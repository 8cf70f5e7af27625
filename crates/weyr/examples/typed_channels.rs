//! Two processes, and values between them: plain data that is its own bytes, and a frame that serde encodes, whose pixels
//! the receiver sees where the message lies.
#![allow(clippy::print_stdout, reason = "an example talks")]

use serde::{Deserialize, Serialize};
use weyr::prelude::*;
use weyr::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use weyr::{Buffer, Error};

#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Reading {
    celsius: f64,
    sensor: u64,
}

#[derive(Serialize, Deserialize)]
struct Frame {
    camera: String,
    size: (u32, u32),
    pixels: Buffer,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, readings, frames] => child(&readings.parse()?, &frames.parse()?),
        _ => parent(),
    }
}

fn parent() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::create(&PoolAttributes::new(format!("typed-{}", std::process::id()), 16 << 20))?;
    let readings = Channel::create(&pool, &ChannelAttributes::new().block_size(64))?;
    let frames = Channel::create(&pool, &ChannelAttributes::new().block_size(64))?;
    let (reading, frame) = (readings.typed_sender::<Reading>()?, frames.encoded_sender::<Frame>()?);
    if let Err(Error::Channel(refused)) = readings.typed_sender::<u64>() {
        println!("another type: {refused}");
    }
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .args([readings.descriptor().to_string(), frames.descriptor().to_string()])
        .spawn()?;
    for (sensor, celsius) in [(1, 20.5), (2, 21.0), (3, 19.0)] {
        reading.send(&Reading { celsius, sensor })?;
    }
    let pixels = vec![7; 640 * 480].into();
    frame.send(&Frame { camera: "door".into(), size: (640, 480), pixels })?;
    while !readings.is_empty()? {
        std::thread::yield_now();
    }
    readings.destroy()?; // ends the child's iteration
    println!("the child {}", child.wait()?);
    Ok(pool.destroy()?)
}

fn child(readings: &ChannelDescriptor, frames: &ChannelDescriptor) -> Result<(), Box<dyn std::error::Error>> {
    let frames = Channel::attach(frames)?.encoded_receiver::<Frame>()?;
    let readings = Channel::attach(readings)?.typed_receiver::<Reading>()?;
    let mut sum = 0.0;
    for reading in readings {
        let Reading { celsius, sensor } = reading?;
        println!("sensor {sensor}: {celsius} degrees");
        sum += celsius;
    }
    println!("{sum} degrees in all");
    let Frame { camera, size, pixels } = frames.receive()?;
    let mut last = [0];
    pixels.read(pixels.len() - 1, &mut last)?;
    println!(
        "{camera}: {size:?}, {} bytes in the pool: {}, the last is {}",
        pixels.len(),
        pixels.is_in_pool(),
        last[0]
    );
    Ok(())
}
