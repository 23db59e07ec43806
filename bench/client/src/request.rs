//! The bytes of a request. `{}` in the path becomes the number of the request, so that each can be a miss.

use crate::arguments::Arguments;

/// A request with the place of its number.
pub struct Request {
    before: Vec<u8>,
    numbered: bool,
    after: Vec<u8>,
}

impl Request {
    /// Reads `--method`, `--path`, `--field` (any number, in order) and `--body` (bytes of the body).
    pub fn from_arguments(arguments: &Arguments) -> Result<Request, String> {
        let method: String = arguments.or("method", "GET".to_owned())?;
        let path: String = arguments.or("path", "/body".to_owned())?;
        let body: usize = arguments.or("body", 0)?;
        let mut after = " HTTP/1.1\r\n".to_owned();
        for field in arguments.all("field") {
            after.push_str(field);
            after.push_str("\r\n");
        }
        if body > 0 {
            after.push_str(&format!("Content-Length: {body}\r\n"));
        }
        after.push_str("\r\n");
        after.push_str(&"b".repeat(body));
        let (begin, numbered, rest) = match path.split_once("{}") {
            Some((begin, rest)) => (begin, true, rest),
            None => (path.as_str(), false, ""),
        };
        Ok(Request {
            before: format!("{method} {begin}").into_bytes(),
            numbered,
            after: format!("{rest}{after}").into_bytes(),
        })
    }

    /// Writes the request with this number into `into`, which loses what it held.
    pub fn render(&self, number: usize, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.before);
        if self.numbered {
            into.extend_from_slice(number.to_string().as_bytes());
        }
        into.extend_from_slice(&self.after);
    }
}
