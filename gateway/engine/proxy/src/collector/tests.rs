use std::net::TcpListener;

use super::*;

fn at(url: &str) -> Result<Collector, String> {
    Collector::open(&CollectorOptions { url: url.to_owned(), ..CollectorOptions::default() })
}

#[test]
fn a_collector_is_a_url_with_a_port() {
    let collector = at("http://127.0.0.1:4318").expect("a collector");
    assert_eq!((&*collector.authority, &*collector.path), ("127.0.0.1:4318", "/v1/logs"));
    assert_eq!(at("http://otel:4318/a/").expect("a collector").path, "/a/v1/logs");
    for url in ["", "otel:4318", "ftp://otel:21", "http://otel", "http://a@otel:1", "http://otel:1/ x", "http://a:0"] {
        assert!(at(url).is_err(), "{url}");
    }
}

#[test]
fn what_is_wrong_with_files_is_said_at_the_start() {
    let options = |url: &str, authorities: &str, certificate: &str| CollectorOptions {
        url: url.to_owned(),
        authorities: authorities.into(),
        certificate: certificate.into(),
        private_key: PathBuf::new(),
    };
    let clear = Collector::open(&options("http://otel:4318", "/ca.crt", "")).expect_err("authorities are for https");
    assert!(clear.contains("for https"), "{clear}");
    let absent = Collector::open(&options("https://otel:4318", "/nowhere/ca.crt", "")).expect_err("no such file");
    assert!(absent.starts_with("/nowhere/ca.crt: "), "{absent}");
    let alone = Collector::open(&options("https://otel:4318", "", "/tls.crt")).expect_err("a certificate without key");
    assert!(alone.contains("private key"), "{alone}");
}

#[test]
fn what_the_collector_does_not_take_is_tried_again_and_then_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut collector = at(&format!("http://{}", listener.local_addr().expect("bound"))).expect("one");
    let answers = std::thread::spawn(move || {
        for status in ["503", "200", "500", "500", "500"] {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut scratch = [0; 4096];
            while !scratch.ends_with(b"}]}]}") {
                let count = stream.read(&mut scratch).expect("a request");
                if count == 0 || scratch[..count].ends_with(b"}") {
                    break;
                }
            }
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").expect("answered");
        }
    });
    assert_eq!(collector.write(b"{\"a\":1}\n").expect("taken at the second attempt"), 8);
    assert!(collector.told.is_none());
    let error = collector.write(b"{\"a\":1}\n").expect_err("not taken");
    assert_eq!(error.to_string(), "it answered 500");
    assert!(collector.told.is_some_and(|(told, _)| told == "it answered 500"));
    answers.join().expect("five attempts");
}

#[test]
fn who_answers_byte_by_byte_gains_no_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("bound");
    let slow = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let began = Instant::now();
    let connected = TcpStream::connect(address).expect("connected");
    let mut stream = BoundedStream::new(connected, began + Duration::from_millis(200));
    let mut line = Vec::new();
    let error = BufReader::new(&mut stream).read_until(b'\n', &mut line).expect_err("not in time");
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(stream);
    slow.join().expect("it ends when nobody listens");
}
