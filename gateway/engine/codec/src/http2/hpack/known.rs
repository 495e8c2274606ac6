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

/// The static index of a name, 0 without one, and the policy.
pub fn known(name: &str) -> (u8, Policy) {
    use Policy::{Kept, Left, Plain, Secret, Te};
    match name.len() {
        2 if name == "te" => (0, Te),
        3 => among(name, [("age", 21, Plain), ("via", 60, Plain)]),
        4 => among(
            name,
            [
                ("date", 33, Plain),
                ("vary", 59, Kept(1)),
                ("etag", 34, Plain),
                ("host", 38, Left),
                ("link", 45, Plain),
                ("from", 37, Plain),
            ],
        ),
        5 => among(name, [("range", 50, Plain), ("allow", 22, Plain)]),
        6 => among(
            name,
            [("server", 54, Kept(2)), ("accept", 19, Kept(3)), ("cookie", 32, Secret), ("expect", 35, Plain)],
        ),
        7 => {
            among(name, [("upgrade", 0, Left), ("referer", 51, Plain), ("expires", 36, Plain), ("refresh", 52, Plain)])
        }
        8 => among(name, [("location", 46, Plain), ("if-match", 39, Plain), ("if-range", 42, Plain)]),
        10 => among(
            name,
            [("user-agent", 58, Kept(4)), ("set-cookie", 55, Secret), ("connection", 0, Left), ("keep-alive", 0, Left)],
        ),
        11 => among(name, [("retry-after", 53, Plain)]),
        12 => among(name, [("content-type", 31, Kept(5)), ("max-forwards", 47, Plain)]),
        13 => among(
            name,
            [
                ("cache-control", 24, Kept(6)),
                ("authorization", 23, Secret),
                ("last-modified", 44, Plain),
                ("if-none-match", 41, Plain),
                ("accept-ranges", 18, Kept(7)),
                ("content-range", 30, Plain),
                ("grpc-encoding", 0, Kept(8)),
            ],
        ),
        14 => among(name, [("content-length", 28, Left), ("accept-charset", 15, Plain)]),
        15 => among(
            name,
            [("accept-encoding", 16, Kept(9)), ("accept-language", 17, Kept(10)), ("x-forwarded-for", 0, Kept(11))],
        ),
        16 => among(
            name,
            [
                ("x-forwarded-host", 0, Kept(12)),
                ("content-encoding", 26, Kept(13)),
                ("content-language", 27, Plain),
                ("content-location", 29, Plain),
                ("www-authenticate", 61, Plain),
                ("proxy-connection", 0, Left),
            ],
        ),
        17 => among(
            name,
            [("x-forwarded-proto", 0, Kept(14)), ("if-modified-since", 40, Plain), ("transfer-encoding", 0, Left)],
        ),
        18 => among(name, [("proxy-authenticate", 48, Plain)]),
        19 => among(
            name,
            [
                ("content-disposition", 25, Plain),
                ("if-unmodified-since", 43, Plain),
                ("proxy-authorization", 49, Secret),
            ],
        ),
        20 => among(name, [("grpc-accept-encoding", 0, Kept(15))]),
        25 => among(name, [("strict-transport-security", 56, Kept(16))]),
        27 => among(name, [("access-control-allow-origin", 20, Kept(17))]),
        _ => (0, Plain),
    }
}

/// The place of `te: trailers`, which every gRPC request carries.
pub const TE: usize = 18;

fn among<const N: usize>(name: &str, entries: [(&'static str, u8, Policy); N]) -> (u8, Policy) {
    for (known, index, policy) in entries {
        if name.as_bytes() == known.as_bytes() {
            return (index, policy);
        }
    }
    (0, Policy::Plain)
}

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
            let (index, policy) = known(name.as_str());
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
            let Policy::Kept(place) = known(name).1 else { panic!("{name} has no place") };
            assert!(places.insert(place), "{name}");
        }
        assert_eq!(places, (0..PLACES).collect());
    }
}
