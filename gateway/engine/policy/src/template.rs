//! Paths with `{*}`, which stands for one segment, and `{**}`, which stands for any text and is the last operator.

/// A template. One that cannot be read matches nothing; the table refuses it before.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    Segment,
    Rest,
}

/// Whether a pattern is a template and no plain text.
pub fn is_template(pattern: &str) -> bool {
    pattern.contains("{*}") || pattern.contains("{**}")
}

impl Template {
    pub fn new(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let (piece, length) = if rest.starts_with("{*}") {
                (Piece::Segment, 3)
            } else if rest.starts_with("{**}") {
                (Piece::Rest, 4)
            } else {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                literal.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
            }
            pieces.push(piece);
            rest = &rest[length..];
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Self { pieces }
    }

    pub fn accepts(&self, path: &str) -> bool {
        let mut left = path;
        for (position, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Literal(text) => match left.strip_prefix(&**text) {
                    Some(after) => left = after,
                    None => return false,
                },
                Piece::Segment => {
                    let length = left.find('/').unwrap_or(left.len());
                    if length == 0 {
                        return false;
                    }
                    left = &left[length..];
                }
                Piece::Rest => {
                    return match &self.pieces[position + 1..] {
                        [] => true,
                        [Piece::Literal(end)] => left.ends_with(&**end),
                        _ => false,
                    };
                }
            }
        }
        left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_stand_for_segments() {
        for (pattern, yes, no) in [
            ("/foo/{*}", &["/foo/bar"][..], &["/foo/", "/foo", "/foo/bar/baz", "/foo/bar/"][..]),
            ("/{*}/bar", &["/foo/bar"][..], &["/bar", "//bar", "/a/b/bar", "/foo/bars"][..]),
            ("/foo/{**}", &["/foo/", "/foo/bar", "/foo/bar/baz"][..], &["/foo", "/fooo/"][..]),
            ("/foo/{**}/end", &["/foo/a/end", "/foo/a/b/end", "/foo//end"][..], &["/foo/end", "/foo/a/end/b"][..]),
            ("/foo/{*}/bar/{**}", &["/foo/x/bar/", "/foo/x/bar/y/z"][..], &["/foo/x/bar", "/foo/bar/y"][..]),
        ] {
            let template = Template::new(pattern);
            assert!(yes.iter().all(|path| template.accepts(path)), "{pattern}");
            assert!(!no.iter().any(|path| template.accepts(path)), "{pattern}");
        }
    }
}
