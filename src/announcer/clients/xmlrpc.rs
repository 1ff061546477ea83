//! XML-RPC, as much of it as rTorrent speaks: calls out, values in.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::trouble::Trouble;

/// Deepest nesting of values that is read.
const DEPTH: usize = 16;

/// A value of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number or a truth value.
    Number(i64),
    /// A text; other scalars are texts too.
    Text(String),
    /// An array.
    Array(Vec<Value>),
    /// A structure.
    Struct(BTreeMap<String, Value>),
}

impl Value {
    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The number of a scalar. rTorrent sends some of them as text.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Array(_) | Self::Struct(_) => None,
        }
    }

    /// The items of an array.
    #[must_use]
    pub fn items(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its value.
    Value(Value),
    /// The words of a refusal.
    Fault(String),
}

/// A call of `method` with texts as its parameters.
#[must_use]
pub fn call(method: &str, parameters: &[&str]) -> String {
    let one = |text: &&str| format!("<param><value><string>{}</string></value></param>", escaped(text));
    let parameters: String = parameters.iter().map(one).collect();
    format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>{parameters}</params></methodCall>"
    )
}

/// One call of several methods without parameters (`system.multicall`).
#[must_use]
pub fn call_all(methods: &[&str]) -> String {
    let one = |method: &&str| {
        format!(
            "<value><struct><member><name>methodName</name><value><string>{method}</string></value></member>\
             <member><name>params</name><value><array><data></data></array></value></member></struct></value>"
        )
    };
    let calls: String = methods.iter().map(one).collect();
    format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>system.multicall</methodName><params><param><value><array>\
         <data>{calls}</data></array></value></param></params></methodCall>"
    )
}

/// The answers of [`call_all`], each `None` where that method was refused.
#[must_use]
pub fn all_of(value: &Value) -> Vec<Option<Value>> {
    let one = |item: &Value| item.items().and_then(<[Value]>::first).cloned();
    value.items().unwrap_or_default().iter().map(one).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub fn read(bytes: &[u8]) -> Result<Outcome, Trouble> {
    let text = String::from_utf8_lossy(bytes);
    let mut parser = Parser { reader: Reader::from_str(&text) };
    parser.reader.config_mut().expand_empty_elements = true;
    let is_fault = loop {
        match parser.next()? {
            Token::Open(name) if name == "fault" => break true,
            Token::Open(name) if name == "param" => break false,
            Token::End => return Err(strange("it holds no value")),
            _ => {}
        }
    };
    let value = parser.value_ahead(DEPTH)?.ok_or_else(|| strange("it holds no value"))?;
    let Some(fault) = Some(&value).filter(|_| is_fault) else { return Ok(Outcome::Value(value)) };
    let words =
        if let Value::Struct(members) = fault { members.get("faultString").and_then(Value::text) } else { None };
    Ok(Outcome::Fault(words.unwrap_or_default().to_owned()))
}

struct Parser<'t> {
    reader: Reader<&'t [u8]>,
}

/// What matters of XML here.
enum Token {
    Open(String),
    Close(String),
    Text(String),
    End,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Token, Trouble> {
        loop {
            let event = self.reader.read_event().map_err(|error| strange(&error.to_string()))?;
            let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            return Ok(match event {
                Event::Start(tag) => Token::Open(name(tag.name().as_ref())),
                Event::End(tag) => Token::Close(name(tag.name().as_ref())),
                Event::Text(text) => {
                    Token::Text(text.decode().map_err(|error| strange(&error.to_string()))?.into_owned())
                }
                Event::CData(text) => Token::Text(name(&text)),
                Event::GeneralRef(entity) => Token::Text(resolved(&entity)),
                Event::Eof => Token::End,
                // Empty elements are told as a start and an end.
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            });
        }
    }

    /// The next `<value>`, unless an element ends first.
    fn value_ahead(&mut self, depth: usize) -> Result<Option<Value>, Trouble> {
        loop {
            match self.next()? {
                Token::Open(name) if name == "value" => return self.value(depth).map(Some),
                Token::Close(_) | Token::End => return Ok(None),
                Token::Open(_) | Token::Text(_) => {}
            }
        }
    }

    /// The inside of `<value>`, up to its end.
    fn value(&mut self, depth: usize) -> Result<Value, Trouble> {
        let Some(deeper) = depth.checked_sub(1) else { return Err(strange("it is nested too deep")) };
        let (mut value, mut bare) = (None, String::new());
        loop {
            match self.next()? {
                Token::Open(name) => {
                    value = Some(match name.as_str() {
                        "array" => self.array(deeper)?,
                        "struct" => self.members(deeper)?,
                        "i4" | "i8" | "int" | "boolean" => number(&self.words()?)?,
                        _ => Value::Text(self.words()?),
                    });
                }
                Token::Text(text) => bare.push_str(&text),
                Token::Close(_) => return Ok(value.unwrap_or(Value::Text(bare))),
                Token::End => return Err(strange("it ends too early")),
            }
        }
    }

    /// The text up to the end of an element.
    fn words(&mut self) -> Result<String, Trouble> {
        let mut words = String::new();
        loop {
            match self.next()? {
                Token::Text(text) => words.push_str(&text),
                Token::Close(_) => return Ok(words),
                Token::Open(_) | Token::End => return Err(strange("an element is where text should be")),
            }
        }
    }

    /// The inside of `<array>`, up to its end.
    fn array(&mut self, depth: usize) -> Result<Value, Trouble> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Token::Open(name) if name == "value" => items.push(self.value(depth)?),
                Token::Close(name) if name == "array" => return Ok(Value::Array(items)),
                Token::End => return Err(strange("it ends too early")),
                _ => {}
            }
        }
    }

    /// The inside of `<struct>`, up to its end.
    fn members(&mut self, depth: usize) -> Result<Value, Trouble> {
        let (mut members, mut name) = (BTreeMap::new(), String::new());
        loop {
            match self.next()? {
                Token::Open(tag) if tag == "name" => name = self.words()?,
                Token::Open(tag) if tag == "value" => {
                    members.insert(std::mem::take(&mut name), self.value(depth)?);
                }
                Token::Close(tag) if tag == "struct" => return Ok(Value::Struct(members)),
                Token::End => return Err(strange("it ends too early")),
                _ => {}
            }
        }
    }
}

/// What stands for a character: `&amp;` and its like, `&#38;`.
fn resolved(entity: &quick_xml::events::BytesRef<'_>) -> String {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return character.to_string();
    }
    match &**entity {
        b"amp" => "&",
        b"lt" => "<",
        b"gt" => ">",
        b"quot" => "\"",
        b"apos" => "'",
        _ => "",
    }
    .to_owned()
}

fn number(text: &str) -> Result<Value, Trouble> {
    text.trim().parse().map(Value::Number).map_err(|_| strange("a number is none"))
}

fn strange(why: &str) -> Trouble {
    Trouble::Strange(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(value: &str) -> String {
        format!("<?xml version=\"1.0\"?>\r\n<methodResponse><params><param>{value}</param></params></methodResponse>")
    }

    fn value(text: &str) -> Value {
        match read(answer(text).as_bytes()) {
            Ok(Outcome::Value(value)) => value,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn values_are_read() {
        assert_eq!(value("<value><i8>7</i8></value>"), Value::Number(7));
        assert_eq!(value("<value><string>a &amp; &#98;&lt;</string></value>").text(), Some("a & b<"));
        assert_eq!(value("<value>bare</value>").text(), Some("bare"));
        assert_eq!(value("<value><string/></value>").text(), Some(""));
        assert_eq!(value("<value><string></string></value>").text(), Some(""));
        let array = "<value><array><data>\r\n<value><i4>1</i4></value>\r\n<value><array><data/></array></value></data></array></value>";
        assert_eq!(value(array), Value::Array(vec![Value::Number(1), Value::Array(Vec::new())]));
        let members = "<value><struct><member><name>a</name><value>b</value></member></struct></value>";
        assert_eq!(value(members), Value::Struct([("a".to_owned(), Value::Text("b".to_owned()))].into()));
    }

    #[test]
    fn faults_have_words() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><i4>-506</i4></value>\
            </member><member><name>faultString</name><value><string>Method 'x' not defined</string></value></member>\
            </struct></value></fault></methodResponse>";
        assert_eq!(read(fault.as_bytes()), Ok(Outcome::Fault("Method 'x' not defined".to_owned())));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let deep = answer(&format!("{}{}", "<value><array><data>".repeat(20), "</data></array></value>".repeat(20)));
        let number = answer("<value><i4>x</i4></value>");
        let open = answer("<value><string><b/></string><array>");
        for wrong in ["", "hello", "<html><body>no</body></html>", &deep, &number, &open] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn calls_are_written() {
        let call = call("d.multicall2", &["", "a<&"]);
        assert!(call.contains("<methodName>d.multicall2</methodName>") && call.contains("<string>a&lt;&amp;</string>"));
        assert_eq!(call_all(&["a", "b"]).matches("<name>methodName</name>").count(), 2);
        let all = Value::Array(vec![Value::Array(vec![Value::Number(1)]), Value::Struct(BTreeMap::new())]);
        assert_eq!(all_of(&all), [Some(Value::Number(1)), None]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_elements_are_read_without_panic(parts in prop::collection::vec(
            prop::sample::select(vec!["<value>", "</value>", "<array>", "</array>", "<data>", "<struct>", "<name>", "<i4>", "1", "</i4>", "<param>", "<fault>", "&", "&x;"]), 0..40)
        ) {
            let _ = read(parts.concat().as_bytes());
        }
    }
}
