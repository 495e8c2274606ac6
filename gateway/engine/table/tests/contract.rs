//! The cases of `tests/contract`, which Python decodes too: both sides must judge every one alike.

use std::path::{Path, PathBuf};

use sekisho_table::{NoChecks, TableStore};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    update: Box<RawValue>,
    accepted: bool,
    rejected: Vec<Rejected>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
struct Rejected {
    kind: String,
    key: String,
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/contract");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files
}

#[test]
fn every_case_is_judged_as_written() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let cases: Vec<Case> =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for mut case in cases {
            count += 1;
            case.rejected.sort();
            let applied = TableStore::default().apply(case.update.get().as_bytes(), &NoChecks).applied;
            let mut rejected: Vec<_> =
                applied.rejected.iter().map(|it| Rejected { kind: it.kind.clone(), key: it.key.clone() }).collect();
            rejected.sort();
            let accepted = applied.error.is_empty() && rejected.is_empty();
            if (accepted, &rejected) != (case.accepted, &case.rejected) {
                wrong.push(format!("{}: {}: {applied:?}", file.display(), case.name));
            }
        }
    }
    assert!(count > 250, "only {count} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the gateway keeps must read the same when it is written out again, as `/config` does.
#[test]
fn an_accepted_table_survives_a_round_trip() {
    for file in files() {
        let cases: Vec<Case> = serde_json::from_str(&std::fs::read_to_string(&file).expect("a file")).expect("cases");
        for case in cases.iter().filter(|case| case.accepted) {
            let mut store = TableStore::default();
            store.apply(case.update.get().as_bytes(), &NoChecks);
            let table = store.table();
            for route in table.routes.values() {
                let written = serde_json::to_string(&**route).expect("JSON");
                assert_eq!(serde_json::from_str::<sekisho_table::Route>(&written).expect(&written), **route);
            }
            for backend in table.backends.values() {
                let written = serde_json::to_string(&**backend).expect("JSON");
                assert_eq!(serde_json::from_str::<sekisho_table::Backend>(&written).expect(&written), **backend);
            }
        }
    }
}
