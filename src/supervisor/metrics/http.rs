//! As little of HTTP as those who read figures need: one request a connection, without a body.

use super::text::Format;

/// How many bytes a request may have.
pub(super) const LONGEST: usize = 8 << 10;
/// How many headers.
const MOST_HEADERS: usize = 64;

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Metrics(Format),
    Health,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) page: Page,
    /// Whether the headers are enough.
    pub(super) is_head: bool,
}

/// An answer without a page: status, its name, what to do.
pub(super) type Refusal = (u16, &'static str, &'static str);

const BROKEN: Refusal = (400, "Bad Request", "this is no HTTP request");
const NOT_THERE: Refusal = (404, "Not Found", "there are /metrics and /health");
const READ_ONLY: Refusal = (405, "Method Not Allowed", "this can be read only, with GET");
const TOO_LARGE: Refusal = (431, "Request Header Fields Too Large", "the request's headers are too large");

/// What has come so far; `None` when more must come.
pub(super) fn read(input: &[u8]) -> Option<Result<Request, Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(input) {
        Ok(httparse::Status::Complete(_)) => Some(understand(&request)),
        Ok(httparse::Status::Partial) if input.len() < LONGEST => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Some(Err(TOO_LARGE)),
        Err(_) => Some(Err(BROKEN)),
    }
}

fn understand(request: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let is_head = match request.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return Err(READ_ONLY),
    };
    let target = request.path.unwrap_or_default();
    let page = match target.split('?').next() {
        Some("/metrics") => Page::Metrics(accepted(request)),
        Some("/health") => Page::Health,
        _ => return Err(NOT_THERE),
    };
    Ok(Request { page, is_head })
}

/// The older format for who asks for plain text and not for OpenMetrics.
fn accepted(request: &httparse::Request<'_, '_>) -> Format {
    let accepts = |what: &str| {
        request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case("accept"))
            .any(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase().contains(what))
    };
    match accepts("text/plain") && !accepts("application/openmetrics-text") {
        true => Format::Prometheus,
        false => Format::OpenMetrics,
    }
}

/// Everything before an answer's body.
pub(super) fn head(status: u16, name: &str, content_type: &str, length: usize) -> Vec<u8> {
    let allow = if status == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {status} {name}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         {allow}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> Result<Request, u16> {
        read(text.as_bytes()).expect("a whole request").map_err(|(status, ..)| status)
    }

    #[test]
    fn pages_are_found_and_formats_chosen() {
        let metrics = |format| Ok(Request { page: Page::Metrics(format), is_head: false });
        assert_eq!(page("GET /metrics HTTP/1.1\r\n\r\n"), metrics(Format::OpenMetrics));
        assert_eq!(
            page("GET /metrics?a=b HTTP/1.0\r\naccept: Text/Plain;version=0.0.4\r\n\r\n"),
            metrics(Format::Prometheus)
        );
        let both = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3";
        assert_eq!(page(&format!("GET /metrics HTTP/1.1\r\n{both}\r\n\r\n")), metrics(Format::OpenMetrics));
        let health = Request { page: Page::Health, is_head: true };
        assert_eq!(page("HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n"), Ok(health));
    }

    #[test]
    fn everything_else_is_refused() {
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        let long = format!("GET /metrics HTTP/1.1\r\na: {}", "b".repeat(LONGEST));
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 404),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", 404),
            ("POST /metrics HTTP/1.1\r\n\r\n", 405),
            ("DELETE / HTTP/1.1\r\n\r\n", 405),
            ("$Key x|$ValidateNick me|\r\n\r\n", 400),
            ("GET /metrics HTTP/9.9\r\n\r\n", 400),
            ("GET /metrics\r\n\r\n", 400),
            ("\0\0\0", 400),
            (&format!("GET /metrics HTTP/1.1\r\n{many}\r\n"), 431),
            (&long, 431),
        ] {
            assert_eq!(page(text), Err(status), "{text}");
        }
        assert_eq!(read(b""), None);
        assert_eq!(read(b"GET /metrics HTTP/1.1\r\nHost: x\r\n"), None);
    }

    proptest! {
        #[test]
        fn anything_can_be_read(input in proptest::collection::vec(any::<u8>(), 0..LONGEST + 100)) {
            let answer = read(&input);
            prop_assert!(answer.is_some() || input.len() < LONGEST);
        }
    }
}
