//! Regular expressions of bounded size: a pattern must not cost more memory than it is worth.
//!
//! Owns the bounds and the full-match rule; every pattern of a table goes through here, both when it
//! is validated and when the router compiles it.

use ::regex::{Error, Regex, RegexBuilder};

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;
const MAX_PROGRAM_BYTES: usize = 1 << 20;
const MAX_LAZY_DFA_BYTES: usize = 1 << 20;
const MAX_NESTING: u32 = 64;

/// Compiles `pattern` so that it matches a whole value and never a part of it.
pub fn compile_regex(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(format!(
            "the regular expression is {} bytes long and {MAX_PATTERN_BYTES} are allowed; shorten it",
            pattern.len()
        ));
    }
    // Compiled alone first: `a)|(b` is refused here, and would escape the group below.
    build(pattern)?;
    build(&format!("^(?:{pattern})$"))
}

/// Why `pattern` cannot be used, or `None` when it can.
pub fn regex_problem(pattern: &str) -> Option<String> {
    compile_regex(pattern).err()
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_LAZY_DFA_BYTES)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| describe(&error))
}

/// One line: the library draws syntax errors over several.
fn describe(error: &Error) -> String {
    match error {
        Error::CompiledTooBig(limit) => format!(
            "the regular expression needs more than {limit} bytes once compiled; make its repetitions or classes smaller"
        ),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            let cause = last.strip_prefix("error: ").unwrap_or(last);
            format!("the regular expression does not compile: {cause}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_the_whole_value() {
        for (pattern, value, matches) in [
            ("/v[0-9]+", "/v12", true),
            ("/v[0-9]+", "/v12/x", false),
            ("/v[0-9]+", "x/v12", false),
            ("a|ab", "ab", true),
            ("a|ab", "abc", false),
            ("(?i)abc", "ABC", true),
            ("", "", true),
            ("", "a", false),
            ("(?m)^a$", "a\nb", false),
        ] {
            let regex = compile_regex(pattern).expect(pattern);
            assert_eq!(regex.is_match(value), matches, "{pattern:?} on {value:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_on_one_line() {
        let long = "a".repeat(MAX_PATTERN_BYTES + 1);
        let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
        for (pattern, expected) in [
            ("(", "unclosed group"),
            ("a)|(b", "unopened group"),
            ("(?=a)", "look-around"),
            (r"(a)\1", "backreferences"),
            (r"(\w{1000}){1000}", "smaller"),
            (long.as_str(), "shorten it"),
            (nested.as_str(), "nest"),
        ] {
            let problem = regex_problem(pattern).unwrap_or_else(|| panic!("{pattern:?} was accepted"));
            assert!(problem.contains(expected), "{pattern:?}: {problem}");
            assert!(!problem.contains('\n'), "{problem:?}");
        }
    }
}
