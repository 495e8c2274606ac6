//! Names and what they cover, for the two places where they differ.
//!
//! A listener's `*.example.com` covers any number of labels (Gateway API, `Listener.hostname`); a
//! certificate's covers exactly one (RFC 6125, section 6.4.3).

use std::collections::HashMap;

/// Which of a socket's listeners owns a server name: exact, then the longest wildcard, then the open one.
#[derive(Debug, Default)]
pub(crate) struct ListenerNames {
    exact: HashMap<String, usize>,
    /// By the part after `*.`.
    wildcard: HashMap<String, usize>,
    open: Option<usize>,
}

impl ListenerNames {
    /// The first listener added for a hostname keeps it.
    pub(crate) fn add(&mut self, hostname: &str, index: usize) {
        if hostname.is_empty() || hostname == "*" {
            self.open.get_or_insert(index);
        } else if let Some(suffix) = hostname.strip_prefix("*.") {
            self.wildcard.entry(suffix.to_owned()).or_insert(index);
        } else {
            self.exact.entry(hostname.to_owned()).or_insert(index);
        }
    }

    pub(crate) fn find(&self, server_name: Option<&str>) -> Option<usize> {
        let Some(name) = server_name else { return self.open };
        if let Some(index) = self.exact.get(name) {
            return Some(*index);
        }
        let mut rest = name;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(index) = self.wildcard.get(suffix) {
                return Some(*index);
            }
            rest = suffix;
        }
        self.open
    }
}

/// Whether a certificate's DNS name covers `name`; both in lower case.
pub(crate) fn certificate_name_covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix),
        None => pattern == name,
    }
}

/// Lower case, without the dot of a fully qualified name.
pub(crate) fn normalize(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hostnames: &[&str]) -> ListenerNames {
        let mut names = ListenerNames::default();
        for (index, hostname) in hostnames.iter().enumerate() {
            names.add(hostname, index);
        }
        names
    }

    #[test]
    fn an_exact_name_beats_a_wildcard_and_the_longer_wildcard_wins() {
        let names = names(&["*.example.com", "*.b.example.com", "a.example.com"]);
        assert_eq!(names.find(Some("a.example.com")), Some(2));
        assert_eq!(names.find(Some("x.b.example.com")), Some(1));
        assert_eq!(names.find(Some("x.y.example.com")), Some(0), "a listener's wildcard covers any number of labels");
        assert_eq!(names.find(Some("example.com")), None, "the wildcard does not cover its own suffix");
        assert_eq!(names.find(None), None);
    }

    #[test]
    fn the_open_listener_takes_what_nobody_else_names() {
        let names = names(&["", "a.example.com"]);
        assert_eq!(names.find(Some("other.test")), Some(0));
        assert_eq!(names.find(None), Some(0));
        assert_eq!(names.find(Some("a.example.com")), Some(1));
    }

    #[test]
    fn a_certificates_wildcard_covers_one_label() {
        assert!(certificate_name_covers("*.example.com", "a.example.com"));
        assert!(!certificate_name_covers("*.example.com", "a.b.example.com"));
        assert!(!certificate_name_covers("*.example.com", "example.com"));
        assert!(!certificate_name_covers("*.example.com", ".example.com"));
        assert!(certificate_name_covers("example.com", "example.com"));
    }
}
