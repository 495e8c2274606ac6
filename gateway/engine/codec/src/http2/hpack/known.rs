//! How each field is written: which index its name has, and whether it is worth a place in the table.
//!
//! The choice is fixed by name. Fields that repeat from message to message get a place, one for each name; values that
//! always differ, lengths and secrets do not (RFC 7541, 7.1).

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Not carried by HTTP/2, or written from something else than the header list (RFC 9113, 8.2.2).
    Left,
    /// Only `trailers` is carried.
    Te,
    Plain,
    /// Kept out of every table on the way (RFC 7541, 7.1.3).
    Secret,
    /// Has this place in the table.
    Kept(usize),
}

/// Places for repeated fields; [`AUTHORITY`] is the first.
pub const PLACES: usize = 19;
pub const AUTHORITY: usize = 0;

type Entry = (&'static str, u8, Policy);

/// By length: a name is compared with the few that could be it.
static BY_LENGTH: [&[Entry]; 28] = {
    use Policy::{Kept, Left, Plain, Secret, Te};
    let mut table: [&[Entry]; 28] = [&[]; 28];
    table[2] = &[("te", 0, Te)];
    table[3] = &[("age", 21, Plain), ("via", 60, Plain)];
    table[4] = &[
        ("date", 33, Plain),
        ("vary", 59, Kept(1)),
        ("etag", 34, Plain),
        ("host", 38, Left),
        ("link", 45, Plain),
        ("from", 37, Plain),
    ];
    table[5] = &[("range", 50, Plain), ("allow", 22, Plain)];
    table[6] = &[("server", 54, Kept(2)), ("accept", 19, Kept(3)), ("cookie", 32, Secret), ("expect", 35, Plain)];
    table[7] = &[("upgrade", 0, Left), ("referer", 51, Plain), ("expires", 36, Plain), ("refresh", 52, Plain)];
    table[8] = &[("location", 46, Plain), ("if-match", 39, Plain), ("if-range", 42, Plain)];
    table[10] =
        &[("user-agent", 58, Kept(4)), ("set-cookie", 55, Secret), ("connection", 0, Left), ("keep-alive", 0, Left)];
    table[11] = &[("retry-after", 53, Plain)];
    table[12] = &[("content-type", 31, Kept(5)), ("max-forwards", 47, Plain)];
    table[13] = &[
        ("cache-control", 24, Kept(6)),
        ("authorization", 23, Secret),
        ("last-modified", 44, Plain),
        ("if-none-match", 41, Plain),
        ("accept-ranges", 18, Kept(7)),
        ("content-range", 30, Plain),
        ("grpc-encoding", 0, Kept(8)),
    ];
    table[14] = &[("content-length", 28, Left), ("accept-charset", 15, Plain)];
    table[15] =
        &[("accept-encoding", 16, Kept(9)), ("accept-language", 17, Kept(10)), ("x-forwarded-for", 0, Kept(11))];
    table[16] = &[
        ("x-forwarded-host", 0, Kept(12)),
        ("content-encoding", 26, Kept(13)),
        ("content-language", 27, Plain),
        ("content-location", 29, Plain),
        ("www-authenticate", 61, Plain),
        ("proxy-connection", 0, Left),
    ];
    table[17] = &[("x-forwarded-proto", 0, Kept(14)), ("if-modified-since", 40, Plain), ("transfer-encoding", 0, Left)];
    table[18] = &[("proxy-authenticate", 48, Plain)];
    table[19] =
        &[("content-disposition", 25, Plain), ("if-unmodified-since", 43, Plain), ("proxy-authorization", 49, Secret)];
    table[20] = &[("grpc-accept-encoding", 0, Kept(15))];
    table[25] = &[("strict-transport-security", 56, Kept(16))];
    table[27] = &[("access-control-allow-origin", 20, Kept(17))];
    table
};

/// The static index of a name, 0 without one, and the policy.
pub fn known(name: &[u8]) -> (u8, Policy) {
    let candidates = BY_LENGTH.get(name.len()).copied().unwrap_or_default();
    candidates
        .iter()
        .find(|(known, ..)| known.as_bytes() == name)
        .map_or((0, Policy::Plain), |(_, index, policy)| (*index, *policy))
}

/// The place of `te: trailers`, which every gRPC request carries.
pub const TE: usize = 18;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::field::{Field, Name};
    use super::super::static_table::TABLE;
    use super::*;

    #[test]
    fn indexes_are_those_of_the_static_table() {
        for (position, field) in TABLE.iter().enumerate() {
            let Name::Regular(name, _) = field.name() else { continue };
            let (index, policy) = known(name.as_str().as_bytes());
            if policy != Policy::Left {
                assert_eq!(usize::from(index), position + 1, "{name}");
            }
            assert!(!matches!(field, Field::Malformed(_)) || policy == Policy::Left);
        }
    }

    #[test]
    fn every_place_belongs_to_one_name() {
        let names = "vary server accept user-agent content-type cache-control accept-ranges grpc-encoding \
            accept-encoding accept-language x-forwarded-for x-forwarded-host content-encoding x-forwarded-proto \
            grpc-accept-encoding strict-transport-security access-control-allow-origin";
        let mut places = HashSet::from([AUTHORITY, TE]);
        for name in names.split_whitespace() {
            let Policy::Kept(place) = known(name.as_bytes()).1 else { panic!("{name} has no place") };
            assert!(places.insert(place), "{name}");
        }
        assert_eq!(places, (0..PLACES).collect());
    }
}
