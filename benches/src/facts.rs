//! The facts of a run, in sentences.

use crate::run::Run;

pub(crate) fn sentences(run: &Run) -> Vec<String> {
    let machine = &run.machine;
    let peers: Vec<String> =
        machine.peers.iter().map(|peer| format!("{} {}", peer.name, peer.version)).collect();
    let [first, second] = machine.processors_used;
    let [mut of_virtual, mut governor] = [String::new(), String::new()];
    if machine.virtual_machine {
        of_virtual = " of a virtual machine".to_owned();
    }
    if let Some(name) = &machine.governor {
        governor = format!(", governor {name}");
    }
    vec![
        format!(
            "Medians of {} rounds ({}, {} s, {}), all contestants of a row in each round.",
            run.rounds, machine.date, run.seconds, run.command
        ),
        format!(
            "{}, processors {first} and {second} of {}{of_virtual}{governor}, {} GiB, {}, load {} before and {} after.",
            machine.processor,
            machine.processors_online,
            (machine.memory_bytes + (1 << 29)) >> 30,
            machine.kernel,
            machine.load_before,
            machine.load_after
        ),
        format!("weyr {}, {}. Peers: {}.", machine.weyr, machine.compiler, peers.join(", ")),
    ]
}
