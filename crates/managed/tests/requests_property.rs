//! The three steps of a request equal the direct call, whatever was called before: errors included.
#![cfg(not(any(weyr_face = "crash", weyr_face = "loom", weyr_face = "explore")))]
#![forbid(unsafe_code)]

mod asked;

use std::time::{Duration, Instant};

use asked::ask;
use proptest::prelude::*;
use weyr_managed::{
    AllocationDescriptor, AllocationMode, Attributes, Error, Growth, LockKind, Mode, Pool, PoolAttributes,
    PoolDescriptor, Published, Request, Response,
};

/// Two pools that differ in identity and directory only: one called directly, one asked.
struct Pair {
    _directories: [tempfile::TempDir; 2],
    direct: Pool,
    /// Kept attached, as who serves requests does.
    asked: Pool,
    there: PoolDescriptor,
    /// Every allocation there ever was, in both.
    allocations: Vec<[AllocationDescriptor; 2]>,
    done: [u32; 2],
}

const BYTES: [u64; 10] = [0, 1, 64, 100, 4000, 5000, 70_000, 300_000, 1 << 20, u64::MAX];
/// Beyond a page it depends on the address of the mapping which place has an alignment.
const ALIGNMENTS: [u64; 5] = [1, 64, 4096, 1 << 21, 3];

fn attributes(directory: &tempfile::TempDir) -> PoolAttributes {
    PoolAttributes::new("asked", 1 << 20).directory(directory.path()).manifest_entries(6)
}

/// Says the same of both pools.
trait Alike {
    fn of(self, pool: &Pool) -> Self;
}

impl Alike for AllocationDescriptor {
    fn of(self, pool: &Pool) -> Self {
        if self.uuid == pool.uuid() { Self { uuid: 0, ..self } } else { self }
    }
}

impl Alike for Error {
    fn of(self, pool: &Pool) -> Self {
        match self {
            Error::WrongPool { found, expected } if expected == pool.uuid() => {
                Error::WrongPool { found, expected: 0 }
            }
            error => error,
        }
    }
}

impl Pair {
    fn new() -> Self {
        let directories = [(); 2].map(|()| tempfile::tempdir_in("/dev/shm").unwrap());
        let direct = Pool::create(&attributes(&directories[0])).unwrap();
        let there = ask(Request::create(&attributes(&directories[1]))).unwrap();
        let asked = Pool::attach_descriptor(&there).unwrap();
        Self { _directories: directories, direct, asked, there, allocations: Vec::new(), done: [0; 2] }
    }

    /// Both said the same, up to the pools' identities.
    fn same<T: PartialEq + std::fmt::Debug>(&mut self, direct: &Result<T, Error>, asked: &Result<T, Error>) {
        self.done[usize::from(direct.is_err())] += 1;
        let alike = |result: &Result<T, Error>, pool: &Pool| {
            result.as_ref().err().cloned().map(|error| error.of(pool))
        };
        assert_eq!(alike(direct, &self.direct), alike(asked, &self.asked));
        if let (Ok(direct), Ok(asked)) = (direct, asked) {
            assert_eq!(direct, asked);
        }
    }

    fn same_block(
        &mut self,
        direct: Result<AllocationDescriptor, Error>,
        asked: Result<AllocationDescriptor, Error>,
    ) {
        let blocks = direct.as_ref().ok().copied().zip(asked.as_ref().ok().copied());
        let (direct, asked) =
            (direct.map(|block| block.of(&self.direct)), asked.map(|block| block.of(&self.asked)));
        self.same(&direct, &asked);
        self.allocations.extend(blocks.map(|(direct, asked)| [direct, asked]));
    }

    fn allocate(&mut self, how: [u8; 3]) {
        let bytes = BYTES[usize::from(how[0]) % BYTES.len()];
        let alignment = ALIGNMENTS[usize::from(how[1]) % ALIGNMENTS.len()];
        let (mode, allocation) = match how[2] % 4 {
            0 => (AllocationMode::AtOnce, self.direct.alloc(bytes)),
            1 => (AllocationMode::Aligned(alignment), self.direct.alloc_aligned(bytes, alignment)),
            2 => (AllocationMode::Zeroed(alignment), self.direct.alloc_zeroed(bytes, alignment)),
            _ => (AllocationMode::Within(Duration::ZERO), self.direct.alloc_until(bytes, Instant::now())),
        };
        let typed = (how[2] & 16 > 0).then_some((u32::from(how[1] >> 4) % 3, u64::from(how[2] >> 5)));
        let direct = allocation.and_then(|allocation| match typed {
            None => allocation.publish(),
            Some((type_id, id)) => allocation.publish_as(type_id, id),
        });
        let asked = ask(Request::allocate_with(&self.there, bytes, mode, typed));
        self.same_block(direct.as_ref().map(Published::descriptor).map_err(Clone::clone), asked);
    }

    /// Also again, a view, of another host and of another pool.
    fn free(&mut self, how: [u8; 3]) {
        let Some(index) = usize::from(how[0]).checked_rem(self.allocations.len()) else { return };
        let mut pair = self.allocations[index];
        pair.iter_mut().for_each(|descriptor| match how[1] % 16 {
            0 => descriptor.original = false,
            1 => descriptor.uuid = 5,
            2 => (descriptor.uuid, descriptor.host) = (5, 6),
            3 => descriptor.view_bytes = u64::MAX,
            4 => descriptor.reference.offset += 32,
            5 => descriptor.reference.offset = u64::MAX,
            6 => descriptor.type_id = 9,
            7 => descriptor.reference.generation += 1,
            _ => {}
        });
        let direct = self.direct.open(&pair[0]).and_then(Published::free);
        let asked = ask(Request::free(&self.there, &pair[1]));
        self.same(&direct, &asked);
    }

    fn find(&mut self, how: [u8; 3]) {
        let (type_id, id) = (u32::from(how[0] % 3), u64::from(how[1] % 8));
        let direct = self.direct.find(type_id, id).map(|published| published.descriptor().of(&self.direct));
        let asked = ask(Request::find(&self.there, type_id, id)).map(|block| block.of(&self.asked));
        self.same(&direct, &asked);
        self.same(&Ok(self.direct.exists(type_id, id)), &ask(Request::exists(&self.there, type_id, id)));
        let Some(index) = usize::from(how[2]).checked_rem(self.allocations.len()) else { return };
        // The block id of what was there: the same in both.
        let reference = self.allocations[index][0].reference;
        let block_id = (reference.offset / 64) << 24 | reference.generation & 0xff_ffff;
        let direct =
            self.direct.find_by_id(block_id).map(|published| published.descriptor().of(&self.direct));
        let asked = ask(Request::find_by_id(&self.there, block_id)).map(|block| block.of(&self.asked));
        self.same(&direct, &asked);
    }

    fn look(&mut self, how: [u8; 3]) {
        self.same(&Ok(self.direct.manifest().collect()), &ask(Request::manifest(&self.there)));
        let type_id = u32::from(how[0] % 3);
        let direct = self.direct.manifest_of_type(type_id).collect();
        self.same(&Ok(direct), &ask(Request::manifest_of_type(&self.there, type_id)));
        self.same(&Ok(self.direct.allocations()), &ask(Request::allocations(&self.there)));
        self.same(&Ok(self.direct.usage()), &ask(Request::usage(&self.there)));
        let again = ask(Request::create(&attributes(&self._directories[1])));
        let again = again.map(|descriptor| descriptor.uuid);
        let direct = Pool::create(&attributes(&self._directories[0])).map(|pool| pool.uuid());
        if !self.direct.is_destroyed() {
            self.same(&direct, &again);
        }
    }

    /// What can be set, and what cannot.
    fn set(&mut self, how: [u8; 3]) {
        let (direct, asked) = (self.direct.attributes(), ask(Request::attributes(&self.there)));
        self.same(&direct.clone().map(nameless), &asked.clone().map(|asked| nameless(*asked)));
        let change = |mut attributes: Attributes| {
            attributes.mode = Some(0o600 | u32::from(how[0] & 0o77));
            attributes.growth =
                [Growth::None, Growth::UpTo(u64::from(how[1]) << 14)][usize::from(how[1] % 2)];
            attributes.page_size <<= u32::from(how[2].is_multiple_of(4));
            attributes.lock_kind = LockKind::Greedy;
            attributes
        };
        let direct = direct.and_then(|old| self.direct.set_attributes(&change(old)));
        let asked = asked.and_then(|old| ask(Request::set_attributes(&self.there, &change(*old))));
        self.same(&direct.map(nameless), &asked.map(|asked| nameless(*asked)));
    }

    fn call(&mut self, [kind, how @ ..]: [u8; 4]) {
        match kind {
            0..100 => self.allocate(how),
            100..180 => self.free(how),
            180..220 => self.find(how),
            220..240 => self.look(how),
            240..253 => self.set(how),
            _ => self.same(&self.direct.destroy(), &ask(Request::destroy(&self.there))),
        }
    }

    fn end(self) -> [u32; 2] {
        for pool in [&self.direct, &self.asked] {
            assert!(pool.verify(Mode::Quiesced).holds());
        }
        assert_eq!(self.direct.usage(), self.asked.usage());
        self.done
    }
}

/// The two pools lie in two directories.
fn nameless(mut attributes: Attributes) -> Attributes {
    attributes.observed.segment_names.clear();
    attributes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn three_steps_equal_the_direct_call(calls in prop::collection::vec(any::<[u8; 4]>(), 0..80)) {
        let mut pair = Pair::new();
        calls.iter().for_each(|call| pair.call(*call));
        pair.end();
    }

    #[test]
    fn any_bytes_are_an_error_or_a_value_of_those_bytes(
        response in any::<bool>(),
        kind in 0u16..14,
        fields in prop::collection::vec(0u8..5, 0..60),
    ) {
        let mut bytes = if response { b"WYRS".to_vec() } else { b"WYRQ".to_vec() };
        bytes.extend([1, 0]);
        bytes.extend([7; 16]);
        bytes.extend(response.then_some(fields.len() as u8 % 2));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(&fields);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        if let Ok(request) = Request::from_bytes(&bytes) {
            prop_assert_eq!(request.to_bytes(), &bytes[..]);
        }
        if let Ok(response) = Response::from_bytes(&bytes) {
            prop_assert_eq!(response.to_bytes(), &bytes[..]);
        }
        prop_assert!(Request::from_bytes(&fields).is_err() && Response::from_bytes(&fields).is_err());
    }
}

#[test]
fn a_sequence_of_every_call_has_both_answers_and_errors() {
    let mut pair = Pair::new();
    let mut seed = 1u64;
    for _ in 0..600 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [kind, how @ .., _] = (seed >> 24).to_le_bytes().first_chunk().copied().unwrap_or([0; 5]);
        // All but the destruction.
        pair.call([kind.min(252), how[0], how[1], how[2]]);
    }
    pair.call([255, 0, 0, 0]);
    pair.call([255, 0, 0, 0]);
    pair.call([0, 1, 1, 0]);
    let [answers, errors] = pair.end();
    assert!(answers > 200 && errors > 200, "{answers} answers, {errors} errors");
}
