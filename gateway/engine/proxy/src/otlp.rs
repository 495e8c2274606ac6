//! Lines of JSON as log records of OpenTelemetry: an export request of OTLP, in the JSON of protobuf.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

const INFO: u32 = 9;
const WARN: u32 = 13;

/// An `ExportLogsServiceRequest` in the JSON of protobuf.
pub fn request(lines: &[u8]) -> Value {
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
    use super::*;

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
}
