//! iceoryx2: one publisher and one subscriber each way. Its files carry this run's name.

use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{BackpressureStrategy, FileName, Path, SemanticString, SignalHandlingMode, ipc};

use super::end::{End, Link, capacity, mark, marked};
use crate::Result;
use crate::scratch::{self, Scratch};

/// Whether it can take part.
pub(crate) fn there() -> std::result::Result<(), String> {
    Ok(())
}

/// How a message is filled and looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Copied from a buffer of the sender's, and into one of the receiver's.
    Copied,
    /// Lent by iceoryx2 and sent as it is, but for the number in its first bytes.
    Loaned,
}

/// Services of a run of their own.
#[derive(Debug)]
pub(crate) struct Iceoryx {
    scratch: Scratch,
    /// Of the names of its shared memory.
    prefix: String,
    bytes: usize,
    payload: Payload,
}

impl Iceoryx {
    pub(crate) fn new(bytes: usize, payload: Payload) -> Result<Self> {
        Ok(Self { scratch: Scratch::new()?, prefix: scratch::name("iceoryx2."), bytes, payload })
    }

    fn config(&self) -> Result<Config> {
        let mut config = Config::default();
        let root = self.scratch.path().to_str().ok_or("the scratch directory has a strange name")?;
        config.global.set_root_path(&Path::new(root.as_bytes()).map_err(told)?);
        config.global.prefix = FileName::new(self.prefix.as_bytes()).map_err(told)?;
        Ok(config)
    }

    fn end(&self, to: &str, from: &str) -> Result<IceoryxEnd> {
        let mode = SignalHandlingMode::Disabled;
        let node = NodeBuilder::new().config(&self.config()?).signal_handling_mode(mode);
        let node = node.create::<ipc::Service>()?;
        let (to, from) = (service(&node, to, self.bytes)?, service(&node, from, self.bytes)?);
        let publisher = to
            .publisher_builder()
            .initial_max_slice_len(self.bytes)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()?;
        let subscriber = from.subscriber_builder().create()?;
        Ok(IceoryxEnd {
            publisher,
            subscriber,
            buffer: vec![0; self.bytes],
            payload: self.payload,
            _node: node,
        })
    }
}

type Service = iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;

/// Nothing is dropped on the way, and as much may wait as in the others.
fn service(node: &Node<ipc::Service>, name: &str, bytes: usize) -> Result<Service> {
    let service = node
        .service_builder(&name.try_into()?)
        .publish_subscribe::<[u8]>()
        .max_publishers(1)
        .max_subscribers(1)
        .history_size(0)
        .enable_safe_overflow(false)
        .subscriber_max_buffer_size(capacity(bytes))
        .open_or_create()?;
    Ok(service)
}

fn told(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

#[derive(Debug)]
pub(crate) struct IceoryxEnd {
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    buffer: Vec<u8>,
    payload: Payload,
    /// Dropped last.
    _node: Node<ipc::Service>,
}

impl Link for Iceoryx {
    type End = IceoryxEnd;

    fn asker(&self) -> Result<IceoryxEnd> {
        self.end("there", "back")
    }

    fn answerer(&self) -> Result<IceoryxEnd> {
        self.end("back", "there")
    }
}

impl IceoryxEnd {
    /// Sends once, and returns how many got it.
    #[inline]
    fn delivered(&mut self, number: u64) -> Result<usize> {
        let sample = self.publisher.loan_slice_uninit(self.buffer.len())?;
        if self.payload == Payload::Copied {
            mark(&mut self.buffer, number);
            return Ok(sample.write_from_slice(&self.buffer).send()?);
        }
        // SAFETY: bytes of shared memory that was zero at first: any of them are values.
        let mut sample = unsafe { sample.assume_init() };
        mark(&mut sample.payload_mut()[..8], number);
        Ok(sample.send()?)
    }
}

impl End for IceoryxEnd {
    #[inline]
    fn send(&mut self, number: u64) -> Result<()> {
        // A subscriber connects when it first receives. Before that, what does not fit the buffer is thrown away.
        while self.delivered(number)? == 0 {
            std::hint::spin_loop();
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self) -> Result<u64> {
        loop {
            let Some(sample) = self.subscriber.receive()? else {
                std::hint::spin_loop();
                continue;
            };
            if self.payload == Payload::Loaned {
                return marked(&sample.payload()[..8]);
            }
            self.buffer.copy_from_slice(sample.payload());
            return marked(&self.buffer);
        }
    }
}
