//! Lines of JSON as log records of OpenTelemetry: OTLP over HTTP with JSON (OTLP 1.x, "OTLP/HTTP"), to a collector nearby.
//!
//! Plain HTTP alone: a collector beside the gateway does the rest. Used by a thread that may wait; what cannot be delivered after
//! a few attempts is an error of the write, and its lines are counted as lost.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
const PATH: &str = "/v1/logs";
const INFO: u32 = 9;
const WARN: u32 = 13;

/// A collector at `http://host:port`, with a path in front of `/v1/logs` or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    authority: String,
    path: String,
}

impl Collector {
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url} is not of the form http://HOST:PORT; plain HTTP alone is spoken to a collector");
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if port.is_none_or(|port| port == 0) || authority.contains('@') || !is_plain(rest) {
            return Err(wrong());
        }
        let prefix = path.trim_end_matches('/');
        let path = if prefix.is_empty() { PATH.to_owned() } else { format!("/{prefix}{PATH}") };
        Ok(Self { authority: authority.to_owned(), path })
    }

    fn send(&self, body: &[u8]) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.authority.to_socket_addrs()? {
            match self.send_to(&address, body) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn send_to(&self, address: &std::net::SocketAddr, body: &[u8]) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.path,
            self.authority,
            body.len()
        )?;
        stream.write_all(body)?;
        let mut status = Vec::new();
        io::Read::take(BufReader::new(stream), 512).read_until(b'\n', &mut status)?;
        match status.get(9..12) {
            Some([b'2', ..]) => Ok(()),
            _ => Err(io::Error::other("the collector did not take it")),
        }
    }
}

impl Write for Collector {
    /// Takes all of `data`, which is whole lines, or none.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let body = serde_json::to_vec(&request(data))?;
        let mut outcome = self.send(&body);
        for attempt in 1..ATTEMPTS {
            if outcome.is_ok() {
                break;
            }
            std::thread::sleep(PAUSE * attempt);
            outcome = self.send(&body);
        }
        outcome.map(|()| data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An `ExportLogsServiceRequest` in the JSON of protobuf.
fn request(lines: &[u8]) -> Value {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let records: Vec<Value> = lines.filter_map(record).collect();
    let service = attribute("service.name", &Value::from("sekisho-gateway"));
    json!({"resourceLogs": [{
        "resource": {"attributes": [service]},
        "scopeLogs": [{"scope": {"name": "sekisho.egress"}, "logRecords": records}],
    }]})
}

fn record(line: &[u8]) -> Option<Value> {
    let fields: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let denied = fields.get("decision").is_some_and(|decision| decision != "allow");
    let attributes: Vec<Value> =
        fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| attribute(name, value)).collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut record = json!({
        "timeUnixNano": now.to_string(),
        "observedTimeUnixNano": now.to_string(),
        "severityNumber": if denied { WARN } else { INFO },
        "severityText": if denied { "WARN" } else { "INFO" },
        "eventName": fields.get("record").cloned().unwrap_or_default(),
        "body": {"stringValue": String::from_utf8_lossy(line)},
        "attributes": attributes,
    });
    if let Some(trace) = fields.get("trace_id").filter(|trace| trace.is_string()) {
        record["traceId"] = trace.clone();
    }
    Some(record)
}

fn attribute(name: &str, value: &Value) -> Value {
    json!({"key": name, "value": any_value(value)})
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::Bool(it) => json!({"boolValue": it}),
        // 64-bit numbers are texts there.
        Value::Number(it) => json!({"intValue": it.to_string()}),
        Value::Array(items) => json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}}),
        Value::String(it) => json!({"stringValue": it}),
        Value::Null | Value::Object(_) => json!({"stringValue": value.to_string()}),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_collector_is_http_with_a_port() {
        let collector = Collector::parse("http://127.0.0.1:4318").expect("a collector");
        assert_eq!((&*collector.authority, &*collector.path), ("127.0.0.1:4318", "/v1/logs"));
        assert_eq!(Collector::parse("http://otel:4318/a/").expect("a collector").path, "/a/v1/logs");
        for url in
            ["", "otel:4318", "https://otel:4318", "http://otel", "http://a@otel:1", "http://otel:1/ x", "http://a:0"]
        {
            assert!(Collector::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_line_becomes_a_record_with_its_fields_as_attributes() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let line = format!(
            r#"{{"record":"egress_decision","decision":"deny","port":443,"would_deny":false,"rule":null,"resolved":["10.0.0.1"],"trace_id":"{trace}"}}"#
        );
        let made = request(format!("{line}\n").as_bytes());
        let record = &made["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!((&record["severityText"], &record["traceId"]), (&json!("WARN"), &json!(trace)));
        assert_eq!(record["body"]["stringValue"], line);
        let attributes = record["attributes"].as_array().expect("attributes");
        assert!(attributes.contains(&json!({"key": "port", "value": {"intValue": "443"}})));
        assert!(
            attributes.contains(
                &json!({"key": "resolved", "value": {"arrayValue": {"values": [{"stringValue": "10.0.0.1"}]}}})
            )
        );
        assert!(!attributes.iter().any(|attribute| attribute["key"] == "rule"), "what is null is left out");
    }

    #[test]
    fn what_the_collector_does_not_take_is_tried_again_and_then_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut collector =
            Collector::parse(&format!("http://{}", listener.local_addr().expect("bound"))).expect("one");
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
        assert!(collector.write(b"{\"a\":1}\n").is_err());
        answers.join().expect("five attempts");
    }
}
