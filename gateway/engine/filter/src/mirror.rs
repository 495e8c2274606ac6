//! RequestMirror: which requests are copied, and where to.

use sekisho_table::RequestMirror;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Key of the backend that gets the copies.
    pub backend: String,
    pub numerator: u32,
    pub denominator: u32,
}

impl Mirror {
    pub(crate) fn compile(mirror: &RequestMirror) -> Mirror {
        let RequestMirror { backend, numerator, denominator } = mirror.clone();
        Mirror { backend, numerator, denominator }
    }

    /// Whether a request is copied, given a random number of its own.
    pub fn selects(&self, random: u64) -> bool {
        match u64::from(self.denominator) {
            0 => false,
            denominator => random % denominator < u64::from(self.numerator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_decides_how_many_requests_are_copied() {
        for (numerator, denominator, copied) in
            [(1, 1, 1000), (0, 1, 0), (1, 2, 500), (25, 100, 250), (999, 1000, 999), (1, 0, 0)]
        {
            let mirror = Mirror { backend: "b".to_owned(), numerator, denominator };
            let selected = (0..1000).filter(|random| mirror.selects(*random)).count();
            assert_eq!(selected, copied, "{numerator}/{denominator}");
        }
    }
}
