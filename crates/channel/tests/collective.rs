//! Collective channels, among threads and among processes, some of which are killed.
#![cfg(not(any(weyr_face = "loom", weyr_face = "explore")))]

mod pools;

use std::fmt::Debug;
use std::num::NonZeroU64;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pools::{TestPool, as_child, child};
use weyr_channel::{
    Broken, Channel, ChannelAttributes, Collective, Element, ElementType, Error, Member, Operation, WaitMode,
};
use weyr_kill::Outcome;

const MODES: [WaitMode; 3] = [WaitMode::Adaptive, WaitMode::Idle, WaitMode::Spin];
const LONG: Duration = Duration::from_secs(60);

fn until(is_it: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !is_it() {
        assert!(Instant::now() < late, "it does not come to be");
        std::thread::yield_now();
    }
}

fn create(pool: &TestPool, collective: Collective) -> Channel {
    Channel::create(&pool.0, &ChannelAttributes::new().collective(collective)).unwrap()
}

fn join(channel: &Channel, rank: u32) -> Member {
    channel.join(rank).unwrap().with_timeout(LONG)
}

/// What each of the members made of `with`, each in a thread of its own.
fn together<T: Send>(channel: &Channel, with: impl Fn(Member) -> T + Sync) -> Vec<T> {
    let members = channel.collective().unwrap().unwrap().members();
    std::thread::scope(|scope| {
        let joined: Vec<Member> = (0..members).map(|rank| join(channel, rank)).collect();
        let started: Vec<_> = joined.into_iter().map(|member| scope.spawn(|| with(member))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// All do each operation, `rounds` times, with values that say of which round and rank they are.
fn do_everything(member: &mut Member, rounds: u64) {
    let (rank, members) = (u64::from(member.rank()), u64::from(member.members()));
    let value = |round: u64, rank: u64| round << 16 | rank;
    let sum = |round: u64| (0..members).map(|rank| value(round, rank)).sum::<u64>();
    for round in 0..rounds {
        let root = (round % members) as u32;
        member.barrier().unwrap();
        let mut bytes = value(round, rank).to_le_bytes();
        member.broadcast(root, &mut bytes).unwrap();
        assert_eq!(bytes, value(round, root.into()).to_le_bytes());
        let reduced = member.reduce(root, &[value(round, rank), rank]).unwrap();
        let expected = vec![sum(round), members * (members - 1) / 2];
        assert_eq!(reduced, (member.rank() == root).then_some(expected));
        let mut values = [value(round, rank)];
        member.all_reduce(&mut values).unwrap();
        assert_eq!(values, [sum(round)]);
        // As many bytes as the round and the rank say.
        let given = |rank: u64| vec![round as u8; ((round + rank) % 9) as usize];
        let all: Vec<_> = (0..members).map(given).collect();
        let gathered = member.gather(root, &given(rank)).unwrap();
        assert_eq!(gathered, (member.rank() == root).then(|| all.clone()));
        assert_eq!(member.all_gather(&given(rank)).unwrap(), all);
    }
}

#[test]
fn threads_do_everything_together() {
    let pool = TestPool::new("collective-threads");
    for (members, mode) in [1, 2, 3, 5].into_iter().flat_map(|members| MODES.map(|mode| (members, mode))) {
        let channel = create(&pool, Collective::reducing::<u64>(members, Operation::Sum, 4));
        together(&channel, |member| {
            let mut member = member.with_wait_mode(mode);
            do_everything(&mut member, 100);
            assert!(!member.is_broken().unwrap());
        });
        channel.destroy().unwrap();
    }
    assert_eq!(pool.blocks(), 0);
}

#[test]
fn processes_do_everything_together() {
    const TEST: &str = "processes_do_everything_together";
    if let Some(channels) = as_child(TEST) {
        let rank = channels[1].receive().unwrap().into_bytes().unwrap()[0];
        do_everything(&mut join(&channels[0], rank.into()), 200);
        return;
    }
    let pool = TestPool::new("collective-processes");
    let channel = create(&pool, Collective::reducing::<u64>(3, Operation::Sum, 4));
    let ranks = pool.channel(2);
    [1, 2].iter().for_each(|rank| ranks.send(&[*rank]).unwrap());
    let mut children = [(); 2].map(|()| child(TEST, &[&channel, &ranks]));
    let mut member = join(&channel, 0);
    do_everything(&mut member, 200);
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    drop((member, channel, ranks));
    pool.assert_verified();
}

/// Three members give these, and get that.
fn folds<T: Element + PartialEq + Debug + Send + Sync>(
    operation: Operation,
    given: [&[T]; 3],
    expected: &[T],
) {
    let pool = TestPool::new(&format!("collective-{}-{}", T::TYPE.name(), operation.name()));
    let channel = create(&pool, Collective::reducing::<T>(3, operation, expected.len() as u32));
    let bound = channel.attributes().unwrap().collective.unwrap();
    assert_eq!((bound.element(), bound.operation(), bound.members()), (T::TYPE, operation, 3));
    let all = together(&channel, |mut member| {
        let mut values = given[member.rank() as usize].to_vec();
        let reduced = member.reduce(1, &values).unwrap();
        member.all_reduce(&mut values).unwrap();
        (reduced, values)
    });
    for (rank, (reduced, values)) in all.into_iter().enumerate() {
        assert_eq!(values, expected, "{operation:?}");
        assert_eq!(reduced.as_deref(), (rank == 1).then_some(expected), "{operation:?}");
    }
}

macro_rules! integers_fold {
    ($($kind:ident)*) => {$({
        const MIN: $kind = $kind::MIN;
        const MAX: $kind = $kind::MAX;
        let given: [&[$kind]; 3] = [&[1, MAX, MIN, 12], &[2, 1, MAX, 10], &[3, 0, MIN, 6]];
        folds(Operation::Sum, given, &[6, MIN, MAX.wrapping_add(MIN).wrapping_add(MIN), 28]);
        folds(Operation::Minimum, given, &[1, 0, MIN, 6]);
        folds(Operation::Maximum, given, &[3, MAX, MAX, 12]);
        folds(Operation::And, given, &[0, 0, MIN & MAX, 0]);
        folds(Operation::Or, given, &[3, MAX, MIN | MAX, 14]);
        folds(Operation::Xor, given, &[0, MAX ^ 1, MAX, 0]);
    })*};
}

#[test]
fn integers_of_each_type_are_reduced_by_each_operation() {
    integers_fold!(u8 u16 u32 u64 i8 i16 i32 i64);
}

macro_rules! floats_fold {
    ($($kind:ident)*) => {$({
        let (nan, large) = ($kind::NAN, $kind::MAX);
        let given: [&[$kind]; 3] =
            [&[0.5, large, nan, -0.0, 1e30], &[0.25, large, 2.0, 0.0, 1.0], &[-8.0, -large, -3.0, 0.0, -1e30]];
        // In the order of the ranks: what is lost on the way is lost for all.
        let lost = (1e30 as $kind + 1.0) - 1e30;
        let sums = [-7.25, $kind::INFINITY, nan, 0.0, lost];
        let pool = TestPool::new(concat!("collective-", stringify!($kind)));
        let channel = create(&pool, Collective::reducing::<$kind>(3, Operation::Sum, 5));
        for values in together(&channel, |mut member| {
            let mut values = given[member.rank() as usize].to_vec();
            member.all_reduce(&mut values).unwrap();
            values
        }) {
            assert!(values.iter().zip(sums).all(|(found, sum)| *found == sum || found.is_nan() && sum.is_nan()));
        }
        let bits = |values: &[$kind]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for (operation, expected) in [
            (Operation::Minimum, [-8.0, -large, -3.0, -0.0, -1e30]),
            (Operation::Maximum, [0.5, large, 2.0, -0.0, 1e30]),
        ] {
            let channel = create(&pool, Collective::reducing::<$kind>(3, operation, 5));
            for values in together(&channel, |mut member| {
                let mut values = given[member.rank() as usize].to_vec();
                member.all_reduce(&mut values).unwrap();
                values
            }) {
                assert_eq!(bits(&values), bits(&expected), "{operation:?}");
            }
        }
    })*};
}

#[test]
fn floats_are_folded_in_the_order_of_the_ranks_and_numbers_win_over_none() {
    floats_fold!(f32 f64);
}

const MINE: NonZeroU64 = NonZeroU64::new(0x6d69_6e65).unwrap();

/// Pairs of a number and where it is: the greatest, and the first place that has it.
fn greatest(into: &mut [u8], more: &[u8]) {
    assert!(into.len() == more.len() && into.len().is_multiple_of(2));
    for (into, more) in into.chunks_exact_mut(2).zip(more.chunks_exact(2)) {
        if more[0] > into[0] {
            into.copy_from_slice(more);
        }
    }
}

#[test]
fn what_the_users_define_is_reduced_by_their_function_and_only_by_that_one() {
    let pool = TestPool::new("collective-custom");
    let channel = create(&pool, Collective::custom(3, MINE, 2, 3));
    let all = together(&channel, |mut member| {
        let rank = member.rank() as u8;
        let mut pairs = [9 - rank, rank, rank, rank, 5, rank];
        let reduced = member.reduce_with(MINE, 2, &pairs, greatest).unwrap();
        member.all_reduce_with(MINE, &mut pairs, greatest).unwrap();
        assert_eq!(reduced.is_some(), rank == 2);
        assert!(reduced.is_none_or(|reduced| reduced == pairs));

        let other = NonZeroU64::MIN;
        let refused = member.all_reduce_with(other, &mut [0; 2], greatest).err();
        assert_eq!(refused, Some(Error::OtherType { asked: 1, agreed: MINE.get() }));
        let reason = "that is not a whole number of its elements";
        assert_eq!(member.reduce_with(MINE, 0, &[0; 3], greatest), Err(Error::OtherCollective { reason }));
        let reason = "its elements are of another type";
        assert_eq!(member.all_reduce(&mut [0_u16]), Err(Error::OtherCollective { reason }));
        // Nobody was told of those.
        member.barrier().unwrap();
        pairs
    });
    assert_eq!(all, [[9, 0, 2, 2, 5, 0]; 3]);
}

#[test]
fn many_elements_are_folded_share_by_share() {
    const MOST: usize = 40_001;
    let pool = TestPool::with("collective-shares", 16 << 20, |attributes| attributes);
    for members in [2, 3, 5] {
        let channel = create(&pool, Collective::reducing::<u32>(members, Operation::Sum, MOST as u32));
        together(&channel, |mut member| {
            // Below the size from which on they are shared, above it, and not a multiple of the members.
            for (round, len) in [16_383, 16_384, 16_385, MOST, 1, 0, MOST].into_iter().enumerate() {
                let value = |index: usize, rank: u32| (index as u32) << 8 | rank << 4 | round as u32;
                let mut values: Vec<u32> = (0..len).map(|index| value(index, member.rank())).collect();
                member.all_reduce(&mut values).unwrap();
                let sum = |index: usize| (0..members).map(|rank| value(index, rank)).sum::<u32>();
                assert!(values.iter().enumerate().all(|(index, found)| *found == sum(index)), "{len}");
            }
        });
        channel.destroy().unwrap();
    }
    // Elements of the users' own are not cut in pieces.
    let channel = create(&pool, Collective::custom(3, MINE, 7, 12_000));
    together(&channel, |mut member| {
        let mut bytes: Vec<u8> = (0..12_000_u32).flat_map(|index| [(index % 36) as u8; 7]).collect();
        let fold = |into: &mut [u8], more: &[u8]| {
            for (into, more) in into.chunks_mut(7).zip(more.chunks(7)) {
                assert!(into.len() == 7 && into.iter().all(|byte| *byte == into[0]));
                into.iter_mut().zip(more).for_each(|(into, more)| *into += more);
            }
        };
        member.all_reduce_with(MINE, &mut bytes, fold).unwrap();
        assert!(bytes.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at / 7 % 36 * 3));
    });
}

#[test]
fn members_that_call_different_things_are_all_told_who_and_go_on() {
    let pool = TestPool::new("collective-mismatch");
    let channel = create(&pool, Collective::reducing::<u32>(3, Operation::Sum, 4));
    type Call = fn(&mut Member) -> Result<(), Error>;
    let calls: [Call; 8] = [
        Member::barrier,
        |member| member.broadcast(0, &mut [0; 4]),
        |member| member.broadcast(1, &mut [0; 4]),
        |member| member.broadcast(0, &mut [0; 3]),
        |member| member.reduce(0, &[1_u32]).map(drop),
        |member| member.all_reduce(&mut [1_u32]),
        |member| member.gather(0, &[1]).map(drop),
        |member| member.all_gather(&[1]).map(drop),
    ];
    together(&channel, |mut member| {
        for (at, usual) in calls.iter().enumerate() {
            for other in calls.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, call)| call) {
                for odd in 0..3 {
                    let call = if member.rank() == odd { other } else { usual };
                    assert_eq!(call(&mut member), Err(Error::OtherCall { rank: odd.max(1) }));
                }
            }
            usual(&mut member).unwrap();
        }
        let mut one_less = vec![7_u32; 4 - usize::from(member.rank() == 2)];
        assert_eq!(member.all_reduce(&mut one_less), Err(Error::OtherCall { rank: 2 }));
        assert!(one_less.iter().all(|value| *value == 7));
        do_everything_small(&mut member);
    });
}

fn do_everything_small(member: &mut Member) {
    let mut values = [1_u32, member.rank()];
    member.all_reduce(&mut values).unwrap();
    let members = member.members();
    assert_eq!(values, [members, members * (members - 1) / 2]);
    assert_eq!(member.all_gather(&[member.rank() as u8]).unwrap().len(), members as usize);
}

fn sums(pool: &TestPool, members: u32) -> Channel {
    create(pool, Collective::reducing::<u32>(members, Operation::Sum, 4))
}

/// In a child: joins as the rank that it is told, does what it is told, and says how it went.
fn obey(channels: &[Channel]) {
    let [group, orders, said] = channels else { panic!("three channels") };
    let mut member = None;
    loop {
        let order = orders.receive_until(Instant::now() + LONG).unwrap().into_bytes().unwrap();
        let outcome = match (order.as_slice(), &mut member) {
            (b"end", _) => return,
            ([b'j', rank], member) => {
                *member = Some(join(group, (*rank).into()));
                Ok(())
            }
            (b"b", Some(member)) => member.barrier(),
            (b"s", Some(member)) => {
                do_everything_small(member);
                Ok(())
            }
            other => panic!("{other:?}"),
        };
        let outcome = outcome.map_or_else(|error| error.to_string(), |()| "done".to_owned());
        said.send(outcome.as_bytes()).unwrap();
    }
}

struct Child {
    process: std::process::Child,
    orders: Channel,
    said: Channel,
}

impl Child {
    fn new(test: &str, pool: &TestPool, group: &Channel, rank: u8) -> Self {
        let [orders, said] = [(); 2].map(|()| pool.channel(4));
        let child = Self { process: child(test, &[group, &orders, &said]), orders, said };
        child.tell(&[b'j', rank]);
        assert_eq!(child.answer(), "done");
        child
    }

    fn tell(&self, order: &[u8]) {
        self.orders.send(order).unwrap();
    }

    fn answer(&self) -> String {
        let answer = self.said.receive_until(Instant::now() + LONG).unwrap().into_bytes().unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn end(mut self) {
        self.tell(b"end");
        assert!(self.process.wait().unwrap().success());
    }
}

/// All ranks but 0 are children.
fn group_of_children(test: &str, pool: &TestPool, group: &Channel, ranks: &[u8]) -> Vec<Child> {
    ranks.iter().map(|rank| Child::new(test, pool, group, *rank)).collect()
}

#[test]
fn a_member_that_dies_before_it_came_is_told_to_all_and_its_rank_is_joined_anew() {
    const TEST: &str = "a_member_that_dies_before_it_came_is_told_to_all_and_its_rank_is_joined_anew";
    if let Some(channels) = as_child(TEST) {
        return obey(&channels);
    }
    let pool = TestPool::new("collective-died");
    let group = sums(&pool, 3);
    let died = Error::MemberDied { rank: 1 };
    let mut children = group_of_children(TEST, &pool, &group, &[1, 2]);
    let mut member = Some(join(&group, 0));
    for mode in MODES {
        let own = member.take().unwrap().with_wait_mode(mode);
        let own = member.insert(own);
        children.iter().for_each(|child| child.tell(b"b"));
        own.barrier().unwrap();
        children.iter().for_each(|child| assert_eq!(child.answer(), "done"));

        // Two wait for it.
        children[1].tell(b"b");
        assert_eq!(group.join(1).err(), Some(Error::RankTaken { rank: 1 }));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| own.barrier());
            children.remove(0).kill();
            assert_eq!(waiting.join().unwrap(), Err(died.clone()), "{mode:?}");
        });
        assert_eq!(children[0].answer(), died.to_string());
        assert_eq!((own.barrier(), own.is_broken()), (Err(died.clone()), Ok(true)));
        // Known from now on, also to one that comes: nothing is done until somebody begins anew.
        children.insert(0, Child::new(TEST, &pool, &group, 1));
        children.iter().for_each(|child| child.tell(b"b"));
        children.iter().for_each(|child| assert_eq!(child.answer(), died.to_string()));
        own.reset().unwrap();
        assert_eq!((own.joined(), own.is_broken()), (Ok(3), Ok(false)));
        children.iter().for_each(|child| child.tell(b"s"));
        do_everything_small(own);
        children.iter().for_each(|child| assert_eq!(child.answer(), "done"));
    }
    children.into_iter().for_each(Child::end);
    drop((member, group));
    pool.0.recover();
    pool.assert_verified();
}

#[test]
fn a_member_that_dies_behind_its_announcement_is_missed_in_the_next_round_only() {
    const TEST: &str = "a_member_that_dies_behind_its_announcement_is_missed_in_the_next_round_only";
    if let Some(channels) = as_child(TEST) {
        return obey(&channels);
    }
    let pool = TestPool::new("collective-announced");
    let group = sums(&pool, 2);
    let dying = Child::new(TEST, &pool, &group, 1);
    let mut member = join(&group, 0);
    dying.tell(b"b");
    until(|| asleep(&group) == 1);
    dying.kill();
    assert_eq!(member.barrier(), Ok(()), "it had come");
    assert_eq!(member.barrier(), Err(Error::MemberDied { rank: 1 }));
    // Taken over before anybody has noticed: noticed by that.
    member.reset().unwrap();
    let dying = Child::new(TEST, &pool, &group, 1);
    dying.kill();
    let successor = join(&group, 1);
    assert_eq!(member.barrier(), Err(Error::MemberDied { rank: 1 }));
    member.reset().unwrap();
    std::thread::scope(|scope| {
        let mut successor = successor;
        scope.spawn(move || do_everything_small(&mut successor));
        do_everything_small(&mut member);
    });
}

/// How many sleep in it.
fn asleep(group: &Channel) -> u32 {
    group.state().unwrap().blocked_receivers
}

/// What ends the wait of two members, and what they are told, and told again.
#[test]
fn those_who_wait_are_told_of_whatever_ends_it() {
    let pool = TestPool::new("collective-ends");
    let broken = |why| Error::CollectiveBroken { why };
    type End = fn(Member);
    let abort: End = |member| assert!(member.abort().unwrap() && !member.abort().unwrap());
    let give_up: End =
        |member| assert_eq!(member.with_timeout(Duration::ZERO).barrier(), Err(Error::Timeout));
    let destroy: End = |member| member.channel().clone().destroy().unwrap();
    let reset: End = |member| member.reset().unwrap();
    let ends = [
        (abort, broken(Broken::Aborted), broken(Broken::Aborted)),
        (give_up, broken(Broken::TimedOut), broken(Broken::TimedOut)),
        (drop as End, Error::MemberLeft { rank: 2 }, Error::MemberLeft { rank: 2 }),
        (destroy, Error::Destroyed, Error::Destroyed),
        // Behind it the group is whole, but the last one has left.
        (reset, broken(Broken::Reset), broken(Broken::Aborted)),
    ];
    for (mode, (end, told, again)) in MODES.into_iter().flat_map(|mode| ends.clone().map(|end| (mode, end))) {
        // Those who come behind a reset would wait.
        let is_reset = told == broken(Broken::Reset);
        if is_reset && mode != WaitMode::Idle {
            continue;
        }
        let group = sums(&pool, 4);
        let mut members: Vec<_> = (0..4).map(|rank| join(&group, rank).with_wait_mode(mode)).collect();
        // So that all took part.
        std::thread::scope(|scope| {
            members.iter_mut().for_each(|member| drop(scope.spawn(|| member.barrier().unwrap())));
        });
        let (idle, ending) = (members.pop().unwrap(), members.pop().unwrap());
        std::thread::scope(|scope| {
            let started: Vec<_> = members.iter_mut().map(|member| scope.spawn(|| member.barrier())).collect();
            until(|| mode != WaitMode::Idle || asleep(&group) == 2);
            end(ending);
            let outcomes = started.into_iter().map(|thread| thread.join().unwrap());
            outcomes.for_each(|outcome| assert_eq!(outcome, Err(told.clone()), "{mode:?}"));
        });
        if is_reset {
            assert!(!idle.is_broken().unwrap());
            idle.abort().unwrap();
        }
        members.iter_mut().for_each(|member| assert_eq!(member.barrier(), Err(again.clone()), "{mode:?}"));
        drop((idle, members));
        let _destroyed_before = group.destroy();
    }
    assert_eq!(pool.blocks(), 0);
}

/// So many bytes that each member folds a share of them.
const MANY: u32 = 128 << 10;

fn many(test: &str, members: u32) -> (TestPool, Channel) {
    let pool = TestPool::new(test);
    let group = create(&pool, Collective::custom(members, MINE, 1, MANY));
    (pool, group)
}

#[test]
fn who_fails_between_the_two_rounds_of_a_reduction_breaks_the_group() {
    let (_pool, group) = many("collective-panics", 3);
    let aborted = Error::CollectiveBroken { why: Broken::Aborted };
    together(&group, |mut member| {
        let given = vec![member.rank() as u8; MANY as usize];
        let mut bytes = given.clone();
        if member.rank() == 1 {
            let fold = |_: &mut [u8], _: &[u8]| panic!("on purpose");
            let call = || member.all_reduce_with(MINE, &mut bytes, fold);
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
        } else {
            let reduced = member.all_reduce_with(MINE, &mut bytes, |_, _| {});
            assert_eq!(reduced, Err(aborted.clone()));
        }
        assert!(bytes == given, "what was given is as it was");
        assert_eq!(member.barrier(), Err(aborted.clone()));
    });
}

#[test]
fn both_rounds_of_a_reduction_have_one_deadline() {
    let (_pool, group) = many("collective-deadline", 2);
    let (limit, gave_up) = (Duration::from_millis(20), OnceLock::new());
    let ends = [0, 1].map(|rank| (join(&group, rank), rank));
    let outcomes = std::thread::scope(|scope| {
        let threads = ends.map(|(member, rank)| {
            let (group, gave_up) = (&group, &gave_up);
            scope.spawn(move || {
                let mut member = member.with_wait_mode(WaitMode::Idle);
                let began = std::cell::OnceCell::new();
                let fold = |_: &mut [u8], _: &[u8]| {
                    // The first one has no time left when it comes to the second round; the other one comes when the first
                    // sleeps there, or has given up.
                    let began = began.get_or_init(Instant::now);
                    until(|| match rank {
                        0 => began.elapsed() >= limit,
                        _ => asleep(group) == 1 || gave_up.get().is_some(),
                    });
                };
                if rank == 0 {
                    until(|| asleep(group) == 1);
                    member.set_timeout(Some(limit));
                }
                let outcome = member.all_reduce_with(MINE, &mut vec![0; MANY as usize], fold);
                gave_up.get_or_init(|| ());
                (member, outcome)
            })
        });
        threads.map(|thread| thread.join().unwrap()).map(|(_member, outcome)| outcome)
    });
    let late = Error::CollectiveBroken { why: Broken::TimedOut };
    assert_eq!(outcomes, [Err(Error::Timeout), Err(late)]);
}

#[test]
fn ranks_are_left_and_joined_again() {
    let pool = TestPool::new("collective-ranks");
    let group = sums(&pool, 2);
    // One that took no part is not missed.
    drop(join(&group, 1));
    let (mut first, mut second) = (join(&group, 0), join(&group, 1));
    let both = |first: &mut Member, second: &mut Member| {
        std::thread::scope(|scope| {
            scope.spawn(|| do_everything_small(first));
            do_everything_small(second);
        });
    };
    both(&mut first, &mut second);
    assert_eq!((first.joined(), group.join(1).err()), (Ok(2), Some(Error::RankTaken { rank: 1 })));
    drop(second);
    // Another in its place would not know how far they are.
    let mut second = join(&group, 1);
    assert_eq!(second.barrier(), Err(Error::MemberLeft { rank: 1 }));
    assert_eq!(first.barrier(), Err(Error::MemberLeft { rank: 1 }));
    first.reset().unwrap();
    both(&mut first, &mut second);
    // A group that has done its work, and the next one.
    drop((first, second));
    let mut first = join(&group, 0);
    assert_eq!(first.barrier(), Err(Error::MemberLeft { rank: 0 }));
    first.reset().unwrap();
    let mut second = join(&group, 1);
    both(&mut first, &mut second);
}

#[test]
fn a_forked_child_has_no_rank_by_its_parents_member_and_leaves_it_alone() {
    let pool = TestPool::new("collective-forked");
    let group = sums(&pool, 2);
    let mut first = Some(join(&group, 0));
    let mut child = weyr_kill::child::spawn(|| {
        let mut member = first.take().unwrap();
        assert_eq!(member.barrier(), Err(Error::Forked));
        assert_eq!((member.abort(), member.reset()), (Err(Error::Forked), Err(Error::Forked)));
        drop(member);
        assert_eq!(group.join(0).err(), Some(Error::RankTaken { rank: 0 }));
        do_everything_small(&mut join(&group, 1));
    })
    .unwrap();
    do_everything_small(first.as_mut().unwrap());
    assert_eq!(child.wait().unwrap(), Outcome::Exited(0));
}

#[test]
fn no_message_goes_through_a_collective_channel() {
    let pool = TestPool::new("collective-messages");
    let group = sums(&pool, 1);
    let refused = Some(Error::NotForMessages { used_as: "collective channel" });
    let late = Instant::now() + LONG;
    assert_eq!([group.send(b"hello").err(), group.try_send(b"").err()], [refused.clone(), refused.clone()]);
    assert_eq!(group.send_until(b"hello", late).err(), refused);
    let failed = group.send_allocation(pool.0.alloc(100).unwrap()).unwrap_err();
    assert!(Some(failed.error) == refused && failed.payload.is_some());
    assert_eq!(
        [group.receive().err(), group.try_receive().err(), group.lease().map(drop).err()],
        [refused.clone(), refused.clone(), refused.clone()]
    );
    assert_eq!(group.receiver().try_peek().map(drop).err(), refused);
    do_everything_small(&mut join(&group, 0));
    let plain = pool.channel(1);
    assert_eq!(plain.join(0).err(), Some(Error::NotCollective));
    assert_eq!((plain.collective(), plain.attributes().unwrap().collective), (Ok(None), None));
}

#[test]
fn what_is_bound_is_checked_shown_and_fixed() {
    let pool = TestPool::new("collective-bound");
    let refused = |attributes: ChannelAttributes| {
        let refused = Channel::create(&pool.0, &attributes).err();
        assert!(matches!(refused, Some(Error::InvalidCollective { .. })), "{refused:?}");
    };
    let new = |collective| ChannelAttributes::new().collective(collective);
    let sum = Collective::reducing::<f64>(2, Operation::Sum, 9);
    for members in [0, 4097, u32::MAX] {
        refused(new(Collective::of_bytes(members, 8)));
    }
    refused(new(Collective::reducing::<f32>(2, Operation::Xor, 1)));
    refused(new(Collective::reducing::<u8>(2, Operation::Custom, 1)));
    refused(new(Collective::custom(2, MINE, 0, 1)));
    refused(new(Collective::custom(2, MINE, u32::MAX, u32::MAX)));
    refused(new(sum).capacity(2));
    refused(new(sum).priority_levels(2));
    refused(new(sum).message_attributes(true));
    refused(new(sum).side_loading(true));
    let too_large = Channel::create(&pool.0, &new(Collective::of_bytes(4096, u32::MAX))).err();
    assert!(matches!(too_large, Some(Error::InvalidBlockSize { .. })));

    let named = Channel::create_named(&pool.0, "sums", &new(sum)).unwrap();
    let there = Channel::attach_named(&pool.0, "sums").unwrap();
    let mut attributes = there.attributes().unwrap();
    assert_eq!((attributes.collective, there.collective()), (Some(sum), Ok(Some(sum))));
    attributes.collective = Some(Collective::of_bytes(2, 72));
    let fixed = there.set_attributes(&attributes).err();
    assert_eq!(fixed, Some(Error::FixedAttribute { attribute: "collective" }));
    let bytes = new(sum).bytes(pool.0.process_limit()).unwrap();
    let memory = pool.0.alloc(bytes).unwrap();
    let alone = Channel::create_in(&pool.0, memory, &new(Collective::of_bytes(1, 3))).unwrap();

    let mut member = alone.join(0).unwrap().with_timeout(Duration::ZERO);
    assert_eq!((member.rank(), member.members(), member.collective().elements()), (0, 1, 3));
    let none = Error::OtherCollective { reason: "it has no operation" };
    assert_eq!(
        [member.all_reduce(&mut [1_u8]), member.reduce(0, &[1_u8]).map(drop)],
        [Err(none.clone()), Err(none)]
    );
    let reason = "its operation is not its users' own";
    assert_eq!(member.all_reduce_with(MINE, &mut [1], greatest), Err(Error::OtherCollective { reason }));
    let too_large = Error::TooLarge { needed: 4, largest: 3 };
    assert_eq!(member.broadcast(0, &mut [0; 4]).err(), Some(too_large.clone()));
    assert_eq!(
        [member.gather(0, &[0; 4]).err(), member.all_gather(&[0; 4]).err()],
        [Some(too_large.clone()), Some(too_large)]
    );
    let no_rank = Error::InvalidRank { rank: 1, members: 1 };
    assert_eq!(member.broadcast(1, &mut []).err(), Some(no_rank.clone()));
    assert_eq!(member.gather(u32::MAX, &[]).err(), Some(Error::InvalidRank { rank: u32::MAX, members: 1 }));
    assert_eq!(alone.join(1).err(), Some(no_rank));
    assert_eq!(member.all_gather(&[1, 2, 3]), Ok(vec![vec![1, 2, 3]]));
    assert_eq!(ElementType::ALL.map(|element| element as u8), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    named.destroy().unwrap();
}
