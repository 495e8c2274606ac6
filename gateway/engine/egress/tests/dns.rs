//! Answers of name servers: what is not exactly the answer to the question is as if it had not come.

use std::net::IpAddr;

use sekisho_egress::dns::{Answer, AnswerError, Kind, answer, question};

const ID: u16 = 0x1234;
const NAME: &str = "api.example";

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let fixed = [&kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &(data.len() as u16).to_be_bytes()].concat();
    [&name(owner)[..], &fixed, data].concat()
}

/// The answer to the question for [`NAME`] with these flags and records.
fn message(flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = question(ID, NAME, Kind::A);
    message[2..4].copy_from_slice(&flags.to_be_bytes());
    message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
    message.extend(records.concat());
    message
}

fn read(message: &[u8]) -> Result<Answer, AnswerError> {
    answer(message, ID, NAME, Kind::A)
}

fn addresses(texts: &[&str], ttl: Option<u32>) -> Result<Answer, AnswerError> {
    let parsed: Vec<IpAddr> = texts.iter().map(|text| text.parse().expect("an address")).collect();
    Ok(Answer::Addresses(parsed, ttl))
}

#[test]
fn aliases_are_followed_within_the_answer_and_the_shortest_time_counts() {
    let records = [record(NAME, 5, 300, &name("b.example")), record("b.example", 1, 20, &[192, 0, 2, 1])];
    assert_eq!(read(&message(0x8180, &records)), addresses(&["192.0.2.1"], Some(20)));
}

#[test]
fn addresses_of_names_that_nobody_asked_for_do_not_count() {
    let records = [record("evil.example", 1, 20, &[10, 0, 0, 1]), record(NAME, 1, 30, &[192, 0, 2, 1])];
    assert_eq!(read(&message(0x8180, &records)), addresses(&["192.0.2.1"], Some(30)));
}

#[test]
fn an_answer_to_another_question_is_none() {
    let good = message(0x8180, &[record(NAME, 1, 30, &[192, 0, 2, 1])]);
    assert_eq!(answer(&good, ID + 1, NAME, Kind::A), Err(AnswerError::NotOurs));
    assert_eq!(answer(&good, ID, "other.example", Kind::A), Err(AnswerError::NotOurs));
    assert_eq!(answer(&good, ID, NAME, Kind::Aaaa), Err(AnswerError::NotOurs));
    assert_eq!(read(&question(ID, NAME, Kind::A)), Err(AnswerError::NotOurs), "a question is no answer");
    for end in 0..question(ID, NAME, Kind::A).len() {
        assert_eq!(read(&good[..end]), Err(AnswerError::NotOurs), "{end} bytes");
    }
}

#[test]
fn aliases_without_end_and_records_that_are_cut_are_malformed() {
    let circle = [record(NAME, 5, 300, &name("b.example")), record("b.example", 5, 300, &name(NAME))];
    assert_eq!(read(&message(0x8180, &circle)), Err(AnswerError::Malformed));
    let mut cut = message(0x8180, &[record(NAME, 1, 30, &[192, 0, 2, 1])]);
    cut.pop();
    assert_eq!(read(&cut), Err(AnswerError::Malformed));
    // A name that points to itself.
    let at = question(ID, NAME, Kind::A).len() as u8;
    let pointer = [&[0xc0, at][..], &[0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]].concat();
    assert_eq!(read(&message(0x8180, &[pointer])), Err(AnswerError::Malformed));
}

#[test]
fn what_the_server_says_of_itself_is_told() {
    assert_eq!(read(&message(0x8183, &[])), Ok(Answer::NoSuchName));
    assert_eq!(read(&message(0x8182, &[])), Err(AnswerError::Failed(2)));
    assert_eq!(read(&message(0x8380, &[])), Ok(Answer::Truncated));
}
