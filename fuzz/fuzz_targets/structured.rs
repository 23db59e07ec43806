//! Invariant: no bytes make the reader of structured dictionaries panic; a dictionary stays what it is when its members are
//! printed anew, and when another is joined to it.
#![no_main]

use larder::policy::structured::{Value, dictionary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(told) = read(input) else { return };
    assert_eq!(read(&print(&told)).as_ref(), Some(&told));
    if !told.is_empty() {
        let start = input.iter().take_while(|byte| **byte == b' ').count();
        let joined = [input, b",", &input[start..]].concat();
        assert_eq!(read(&joined), Some([&told[..], &told[..]].concat()));
        assert_eq!(read(&[input, b","].concat()), None, "a comma at the end");
    }
});

/// The members in turn. `None`: not a dictionary.
fn read(text: &[u8]) -> Option<Vec<(Vec<u8>, Value)>> {
    let mut told = Vec::new();
    dictionary(text, |key, value| told.push((key.to_vec(), value)))?;
    Some(told)
}

fn print(told: &[(Vec<u8>, Value)]) -> Vec<u8> {
    let members: Vec<Vec<u8>> = told
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Integer(number) => number.to_string(),
                Value::Boolean(set) => format!("?{}", u8::from(*set)),
                Value::String => "\"\"".to_owned(),
                Value::Other => "()".to_owned(),
            };
            [key, b"=".as_slice(), value.as_bytes()].concat()
        })
        .collect();
    members.join(b", ".as_slice())
}
