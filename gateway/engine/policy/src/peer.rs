//! The identity of a peer, from the one URI of its verified certificate (SPIFFE X.509-SVID, section 2).

/// `spiffe://trust-domain/ns/namespace/sa/service-account`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Without `spiffe://`.
    principal: Box<str>,
    /// Positions of namespace and service account in the principal, where it has them.
    workload: Option<Workload>,
    /// `namespace/name`.
    service_account: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Workload {
    start: usize,
    end: usize,
}

impl Peer {
    /// `None` for a name that is no SPIFFE identity.
    pub fn new(uri: &str) -> Option<Self> {
        const SCHEME: &str = "spiffe://";
        let (scheme, principal) = uri.split_at_checked(SCHEME.len())?;
        let (trust_domain, path) = principal.split_once('/')?;
        // What an identity may hold (SPIFFE-ID, section 2): nothing that could be read as something else.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let sound = scheme.eq_ignore_ascii_case(SCHEME)
            && !trust_domain.is_empty()
            && trust_domain.bytes().all(|byte| is_plain(byte) && !byte.is_ascii_uppercase())
            && path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(is_plain));
        if !sound {
            return None;
        }
        let workload = match path.split('/').collect::<Vec<_>>()[..] {
            ["ns", namespace, "sa", name] => {
                let start = trust_domain.len() + "/ns/".len();
                Some((Workload { start, end: start + namespace.len() }, format!("{namespace}/{name}")))
            }
            _ => None,
        };
        let (workload, service_account) = workload.unzip();
        let service_account = service_account.unwrap_or_default().into();
        Some(Self { principal: principal.into(), workload, service_account })
    }

    pub fn principal(&self) -> &str {
        &self.principal
    }

    pub fn namespace(&self) -> Option<&str> {
        self.workload.map(|Workload { start, end }| &self.principal[start..end])
    }

    pub fn service_account(&self) -> Option<&str> {
        self.workload.map(|_| &*self.service_account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_taken_apart() {
        let peer = Peer::new("spiffe://cluster.local/ns/shop/sa/cart").expect("an identity");
        assert_eq!(peer.principal(), "cluster.local/ns/shop/sa/cart");
        assert_eq!(peer.namespace(), Some("shop"));
        assert_eq!(peer.service_account(), Some("shop/cart"));
        let peer = Peer::new("spiffe://example.org/database").expect("an identity");
        assert_eq!((peer.namespace(), peer.service_account()), (None, None));
    }

    #[test]
    fn what_is_no_identity_is_none() {
        for uri in [
            "",
            "https://cluster.local/ns/a/sa/b",
            "spiffe://",
            "spiffe://cluster.local",
            "spiffe:///ns/a/sa/b",
            "spiffe://cluster.local/ns/a/../sa/b",
            "spiffe://cluster.local/ns//sa/b",
            "spiffe://cluster.local/ns/a%2Fsa%2Fb",
            "spiffe://user@cluster.local/ns/a/sa/b",
            "spiffe://cluster.local/ns/a/sa/b?x",
        ] {
            assert_eq!(Peer::new(uri), None, "{uri}");
        }
    }
}
