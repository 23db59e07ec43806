//! An HTTP response as a client reads it, byte for byte.

use std::fmt;
use std::io::{self, Read};

/// A response: its head taken apart, its body without transfer coding.
#[derive(Clone)]
pub struct Reply {
    /// `HTTP/1.1` or whatever stood there.
    pub version: String,
    /// The status code.
    pub status: u16,
    /// Name and value of every field, in order; each byte of a value is one char (Latin-1).
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first field of that name, in any letter case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).first().copied()
    }

    /// The values of every field of that name, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields
            .iter()
            .filter(same)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// `X-Cache-Status`, or the empty text.
    pub fn cache_status(&self) -> &str {
        self.field("X-Cache-Status").unwrap_or_default()
    }

    /// The body as text, what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Panics unless this is a 200 with that cache status and body.
    #[track_caller]
    pub fn expect(&self, cache_status: &str, body: &str) {
        assert_eq!(
            (self.status, self.cache_status(), self.text().as_str()),
            (200, cache_status, body),
            "{self:?}"
        );
    }

    /// Takes one response off `input`, reading more into `buffer` as needed. `None`: the connection ended cleanly before
    /// the first byte. `bodiless`: the response to a HEAD.
    pub fn read(
        input: &mut impl Read,
        buffer: &mut Vec<u8>,
        bodiless: bool,
    ) -> io::Result<Option<Reply>> {
        let end = loop {
            if let Some(at) = find(buffer, b"\r\n\r\n") {
                break at + 4;
            }
            match fill(input, buffer)? {
                0 if buffer.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let mut reply = Reply::parse(&head)?;
        if !(bodiless || reply.status < 200 || matches!(reply.status, 204 | 304)) {
            reply.body = reply.read_body(input, buffer)?;
        }
        Ok(Some(reply))
    }

    fn parse(head: &[u8]) -> io::Result<Reply> {
        let text: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words
            .next()
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| broken(status_line))?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':').ok_or_else(|| broken(line))?;
            Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
        };
        let fields = lines.map(field).collect::<io::Result<_>>()?;
        Ok(Reply {
            version,
            status,
            fields,
            body: Vec::new(),
        })
    }

    fn read_body(&self, input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        if self
            .field("Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            return chunked(input, buffer);
        }
        match self.field("Content-Length") {
            Some(length) => exactly(input, buffer, length.parse().map_err(|_| broken(length))?),
            None => {
                while fill(input, buffer)? > 0 {}
                Ok(std::mem::take(buffer))
            }
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start: String = self.text().chars().take(200).collect();
        write!(
            f,
            "{} {} {:?} {} bytes: {start:?}",
            self.version,
            self.status,
            self.fields,
            self.body.len()
        )
    }
}

/// Where `needle` first stands in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

/// Takes exactly `length` bytes.
pub fn exactly(input: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
    while buffer.len() < length {
        if fill(input, buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.drain(..length).collect())
}

/// Takes a chunked body, without trailers.
pub fn chunked(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            match find(buffer, b"\r\n") {
                Some(at) => break at,
                None if fill(input, buffer)? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        };
        let line = String::from_utf8_lossy(&buffer[..line_end]).into_owned();
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(|_| broken(&line))?;
        buffer.drain(..line_end + 2);
        body.extend(exactly(input, buffer, size)?);
        exactly(input, buffer, 2)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Reads once into `buffer`; the number of bytes, 0 at the end.
pub fn fill(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut block = [0; 16 * 1024];
    let count = input.read(&mut block)?;
    buffer.extend_from_slice(&block[..count]);
    Ok(count)
}

/// Reads into `buffer` until `end` stands in it, or nothing more comes.
#[allow(dead_code, reason = "the hostile suite has no use for it")]
pub fn fill_to(input: &mut impl Read, buffer: &mut Vec<u8>, end: &[u8]) {
    while find(buffer, end).is_none() && fill(input, buffer).is_ok_and(|count| count > 0) {}
}

fn broken(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {line:?}"))
}
