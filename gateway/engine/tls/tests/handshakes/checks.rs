//! Which certificates and bundles may enter the table.

use std::time::{Duration, SystemTime};

use crate::support::{Authority, Issued, KeyType, Request, Validity};
use sekisho_table::{Certificate, Checks, TrustBundle};
use sekisho_tls::{CertificateChecks, expiry, expiry_warning};

fn refusal(issued: &Issued) -> String {
    CertificateChecks.certificate(&issued.certificate("Secret/a/web")).expect_err("it must be refused")
}

fn bundle(certificates: &str) -> Result<(), String> {
    let bundle = TrustBundle { key: "ConfigMap/a/ca".to_owned(), certificates: certificates.to_owned() };
    CertificateChecks.trust_bundle(&bundle)
}

#[test]
fn a_leaf_alone_and_a_whole_chain_are_accepted() {
    let root = Authority::new("root");
    let intermediate = root.intermediate("intermediate");
    let leaf = intermediate.issue(&["a.example.com"]);
    assert_eq!(CertificateChecks.certificate(&leaf.certificate("k")), Ok(()));
    assert_eq!(CertificateChecks.certificate(&leaf.with(&intermediate).with(&root).certificate("k")), Ok(()));
}

#[test]
fn both_supported_kinds_of_elliptic_keys_are_accepted() {
    let root = Authority::new("root");
    for key_type in [KeyType::Ecdsa, KeyType::Ed25519] {
        let issued = root.issue_as(&Request { key_type, ..Request::names(&["a.example.com"]) });
        assert_eq!(CertificateChecks.certificate(&issued.certificate("k")), Ok(()));
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let root = Authority::new("root");
    let (mut one, other) = (root.issue(&["a.example.com"]), root.issue(&["b.example.com"]));
    one.key = other.key;
    assert_eq!(refusal(&one), "the private key does not belong to the certificate");
}

#[test]
fn a_chain_that_begins_with_the_authority_is_refused_with_the_place_of_the_leaf() {
    let root = Authority::new("root");
    let leaf = root.issue(&["a.example.com"]);
    let swapped = Issued { chain: format!("{}{}", root.pem(), leaf.chain), key: leaf.key };
    assert_eq!(
        refusal(&swapped),
        "the chain is out of order: the private key belongs to certificate 2, which must come first"
    );
}

#[test]
fn a_chain_with_a_gap_is_refused() {
    let root = Authority::new("root");
    let intermediate = root.intermediate("intermediate");
    let leaf = intermediate.issue(&["a.example.com"]).with(&root);
    let reason = refusal(&leaf);
    assert!(
        reason.starts_with("the chain is out of order: certificate 1 is issued by \"CN=intermediate\""),
        "{reason}"
    );
}

#[test]
fn texts_that_hold_no_certificate_or_no_key_are_refused() {
    let good = Authority::new("root").issue(&["a.example.com"]);
    let with = |chain: &str, key: &str| refusal(&Issued { chain: chain.to_owned(), key: key.to_owned() });
    assert!(with("", &good.key).contains("there is no certificate in it"));
    assert!(with("not PEM at all", &good.key).contains("there is no certificate in it"));
    assert!(with(&good.key, &good.key).contains("there is no certificate in it"));
    assert!(with(&good.chain, "").contains("there is no private key in it"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(with(&good.chain, encrypted).contains("without a passphrase"));
    let cut_off = good.chain.replace("-----END CERTIFICATE-----", "");
    assert!(with(&cut_off, &good.key).contains("maybe it was cut off"));
    let garbage = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    assert!(with(garbage, &good.key).contains("not valid base64"));
    let wrong_content = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(with(wrong_content, &good.key).contains("the certificate cannot be used"));
    let wrong_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(with(&good.chain, wrong_key).contains("the private key cannot be used"));
}

#[test]
fn an_expired_certificate_is_served_with_a_warning() {
    let request = Request { validity: Validity::Expired, ..Request::names(&["a.example.com"]) };
    let expired = Authority::new("root").issue_as(&request).certificate("Secret/a/web");
    assert_eq!(CertificateChecks.certificate(&expired), Ok(()));
    let end = expiry(&expired).expect("a date");
    let two_days_later = end + Duration::from_secs(2 * 86_400);
    assert_eq!(
        expiry_warning(&expired, two_days_later).as_deref(),
        Some("certificate Secret/a/web expired 2 days ago; clients will refuse it")
    );
    assert_eq!(expiry_warning(&expired, end - Duration::from_secs(1)), None);
}

#[test]
fn the_expiry_of_something_unreadable_is_unknown() {
    let nothing = Certificate { key: "k".to_owned(), chain: String::new(), private_key: String::new() };
    assert_eq!(expiry(&nothing), None);
    assert_eq!(expiry_warning(&nothing, SystemTime::UNIX_EPOCH), None);
}

#[test]
fn a_bundle_holds_one_or_more_authorities() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    assert_eq!(bundle(&one.pem()), Ok(()));
    assert_eq!(bundle(&format!("{}{}", one.pem(), other.pem())), Ok(()));
    assert!(bundle("").expect_err("empty").contains("there is no certificate in it"));
    assert!(bundle("ca.crt").expect_err("not PEM").contains("there is no certificate in it"));
    let wrong_content = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let reason = bundle(&format!("{}{wrong_content}", one.pem())).expect_err("the second is garbage");
    assert!(reason.contains("certificate 2 cannot be used as an authority"), "{reason}");
}
