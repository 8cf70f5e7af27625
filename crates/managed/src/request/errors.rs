//! How every error crosses the wire as itself. Numbers are for ever: a new variant gets the next one.

use crate::Error;

use super::wire::choice;

choice! {
    Error as u16 "error" {
        1 InvalidAttribute { attribute, reason },
        2 InvalidAlignment { alignment, limit },
        3 TooLarge { bytes, limit },
        4 Payload(error),
        5 NameTaken { name },
        6 InUse { name, processes },
        7 ReadOnly { name },
        8 NoSuchPool { name, directory },
        9 NoDefaultPool,
        10 PermissionDenied { name },
        11 NotAPool { name },
        12 WrongVersion { name, found, expected },
        13 Truncated { name, bytes, expected },
        14 WrongPool { found, expected },
        15 OtherHost { found, expected },
        16 Nameless { uuid },
        17 OutOfRange { offset, bytes, limit },
        18 OutsideWindow { offset, window },
        19 NotABlock { offset },
        20 Stale { offset, meant, found },
        21 DoubleFree { offset },
        22 WrongState { offset, state, action },
        23 WrongType { offset, type_id, id },
        24 NotInManifest { type_id, id },
        25 KeyTaken { type_id, id },
        26 ReservedType,
        27 NotOriginal,
        28 DamagedDescriptor { reason },
        29 DamagedRequest { reason },
        30 OtherRequest { found, expected },
        31 OtherKind { found, expected },
        32 TooMany { what, limit },
        33 NoDescriptor { variable },
        34 NoMemory { bytes },
        35 NotInPlace { bytes, room },
        36 Timeout { bytes, free },
        37 FilesystemFull { directory, bytes, free },
        38 TableFull { table, limit },
        39 ManifestFull { limit },
        40 Busy { offset },
        41 Destroyed,
        42 Forked,
        43 Corrupt(place),
        44 Os { operation, errno },
    }
}
