//! The filters of one rule or backend, in the order in which they run: the order of the list.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, ORIGIN};
use sekisho_codec::message::{Headers, RequestHead, ResponseHead, Scheme};
use sekisho_table::{Filter, SecretHeader};

use crate::cors::Cors;
use crate::mirror::Mirror;
use crate::redirect::Redirect;
use crate::request_headers::RequestHeaders;
use crate::response_headers::ResponseHeaders;
use crate::rewrite::Rewrite;

/// What filters need to know of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext<'a> {
    /// The value of the rule's `PathPrefix` match, if that is what matched.
    pub matched_prefix: Option<&'a str>,
    /// The port that clients dial, which redirects name.
    pub listener_port: u16,
    /// The host that was asked for: lower case, without port.
    pub host: &'a str,
    pub scheme: Scheme,
}

/// What filters need to know of the request when its response comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseContext<'a> {
    /// The request's `Origin`; only looked at where [`FilterPlan::needs_origin`].
    pub origin: Option<&'a HeaderValue>,
}

#[derive(Clone, Debug)]
pub enum Verdict {
    Continue,
    /// The request is answered here and goes no further.
    Respond(LocalResponse),
}

/// An answer of the gateway's own, without content.
#[derive(Clone, Debug)]
pub struct LocalResponse {
    pub status: StatusCode,
    pub headers: Headers,
    /// The stable reason code.
    pub reason: &'static str,
}

/// Filters ready to run. An empty plan costs a branch, and no more room than that.
#[derive(Debug, Default)]
pub struct FilterPlan {
    steps: Option<Box<Steps>>,
}

#[derive(Debug)]
struct Steps {
    on_request: Box<[RequestStep]>,
    on_response: Box<[ResponseStep]>,
    mirrors: Box<[Mirror]>,
    needs_origin: bool,
    /// Sensitive: they show themselves to nobody.
    credentials: Box<[(HeaderName, HeaderValue)]>,
}

#[derive(Debug)]
enum RequestStep {
    Headers(RequestHeaders),
    Redirect(Redirect),
    Rewrite(Rewrite),
    Preflight(Box<Cors>),
}

#[derive(Debug)]
enum ResponseStep {
    Headers(ResponseHeaders),
    Cors(Box<Cors>),
}

/// The table was validated: what cannot be set is not in it.
fn credential(header: &SecretHeader) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_bytes(header.value.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, value))
}

impl FilterPlan {
    pub fn compile(filters: &[Filter]) -> FilterPlan {
        let mut on_request = Vec::new();
        let mut on_response = Vec::new();
        let mut mirrors = Vec::new();
        let mut needs_origin = false;
        let mut credentials = Vec::new();
        for filter in filters {
            match filter {
                Filter::RequestHeaderModifier(it) => on_request.push(RequestStep::Headers(RequestHeaders::compile(it))),
                Filter::ResponseHeaderModifier(it) => {
                    on_response.push(ResponseStep::Headers(ResponseHeaders::compile(it)));
                }
                Filter::RequestRedirect(it) => on_request.push(RequestStep::Redirect(Redirect::compile(it))),
                Filter::UrlRewrite(it) => on_request.push(RequestStep::Rewrite(Rewrite::compile(it))),
                Filter::RequestMirror(it) => mirrors.push(Mirror::compile(it)),
                Filter::Cors(it) => {
                    on_request.push(RequestStep::Preflight(Box::new(Cors::compile(it))));
                    on_response.push(ResponseStep::Cors(Box::new(Cors::compile(it))));
                    needs_origin = true;
                }
                Filter::CredentialInjection(it) => credentials.extend(it.headers.iter().filter_map(credential)),
                // Who may come is decided before: see `external` and `source_ranges` of the proxy.
                Filter::ExternalAuth(_) | Filter::SourceRanges(_) => {}
            }
        }
        let steps = Steps {
            on_request: on_request.into(),
            on_response: on_response.into(),
            mirrors: mirrors.into(),
            needs_origin,
            credentials: credentials.into(),
        };
        let runs = filters.iter().any(|filter| !matches!(filter, Filter::ExternalAuth(_) | Filter::SourceRanges(_)));
        FilterPlan { steps: runs.then(|| Box::new(steps)) }
    }

    /// Sets credentials on a request that goes to its backend now. Apart from the other filters: copies of the request go
    /// without.
    pub fn inject(&self, headers: &mut Headers) {
        for (name, value) in self.steps.iter().flat_map(|steps| &steps.credentials) {
            headers.set(name.clone(), value.clone());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_none()
    }

    /// Runs the filters on a request, in the order of the list, up to the first that answers it. An answer is complete:
    /// the filters for responses have seen it.
    pub fn on_request(&self, context: &RequestContext<'_>, head: &mut RequestHead) -> Verdict {
        let Some(steps) = &self.steps else { return Verdict::Continue };
        for step in &steps.on_request {
            let answer = match step {
                RequestStep::Headers(it) => {
                    it.apply(&mut head.headers);
                    None
                }
                RequestStep::Rewrite(it) => {
                    it.apply(context, head);
                    None
                }
                RequestStep::Redirect(it) => {
                    let mut response = it.answer(context, head);
                    // A page that is sent elsewhere may follow only if this answer, too, is shared with it.
                    steps.run_on_response(head.headers.get(&ORIGIN), &mut response.headers);
                    Some(response)
                }
                RequestStep::Preflight(it) => it.preflight(head),
            };
            if let Some(response) = answer {
                return Verdict::Respond(response);
            }
        }
        Verdict::Continue
    }

    /// The answer to a preflight that a filter gives: it tells nothing of what is behind the rule.
    pub fn preflight(&self, head: &RequestHead) -> Option<LocalResponse> {
        let steps = self.steps.as_ref()?;
        steps.on_request.iter().find_map(|step| match step {
            RequestStep::Preflight(it) => it.preflight(head),
            _ => None,
        })
    }

    /// Runs the filters on the response, in the order of the list.
    pub fn on_response(&self, context: &ResponseContext<'_>, head: &mut ResponseHead) {
        if let Some(steps) = &self.steps {
            steps.run_on_response(context.origin, &mut head.headers);
        }
    }

    /// Whether the request's `Origin` must be kept for [`FilterPlan::on_response`].
    pub fn needs_origin(&self) -> bool {
        self.steps.as_ref().is_some_and(|steps| steps.needs_origin)
    }

    pub fn mirrors(&self) -> &[Mirror] {
        self.steps.as_ref().map_or(&[], |steps| &steps.mirrors)
    }
}

impl Steps {
    fn run_on_response(&self, origin: Option<&HeaderValue>, headers: &mut Headers) {
        for step in &self.on_response {
            match step {
                ResponseStep::Headers(it) => it.apply(headers),
                ResponseStep::Cors(it) => it.on_response(origin, headers),
            }
        }
    }
}
