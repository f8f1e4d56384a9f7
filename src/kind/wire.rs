//! Attributes and C structs: the bytes inside `TCA_OPTIONS`, written and read.

use std::fmt;

/// Bytes from the kernel (or a fuzzer) that are not what their lengths say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {}", self.0)
    }
}
impl std::error::Error for Malformed {}

/// Attributes under construction. All numbers are in the machine's byte order, as rtnetlink has them, unless said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The bytes so far.
    pub bytes: Vec<u8>,
}

/// `NLA_F_NESTED`: newer kernels demand it on some attributes, tc sends it on few.
pub const NESTED: u16 = 1 << 15;

impl Attributes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One attribute with any payload, padded to four octets.
    pub fn raw(&mut self, number: u16, payload: &[u8]) {
        // a payload beyond 64 KiB cannot be said in an attribute's length; it is cut there, and no kind writes one
        let payload = payload.get(..payload.len().min(usize::from(u16::MAX) - 4)).unwrap_or(payload);
        self.bytes.extend_from_slice(&(payload.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        self.align();
    }

    /// A flag: an attribute without payload.
    pub fn flag(&mut self, number: u16) {
        self.raw(number, &[]);
    }
    /// One octet.
    pub fn u8(&mut self, number: u16, value: u8) {
        self.raw(number, &[value]);
    }
    /// Two octets.
    pub fn u16(&mut self, number: u16, value: u16) {
        self.raw(number, &value.to_ne_bytes());
    }
    /// Four octets.
    pub fn u32(&mut self, number: u16, value: u32) {
        self.raw(number, &value.to_ne_bytes());
    }
    /// Eight octets.
    pub fn u64(&mut self, number: u16, value: u64) {
        self.raw(number, &value.to_ne_bytes());
    }
    /// Two octets in network byte order.
    pub fn be16(&mut self, number: u16, value: u16) {
        self.raw(number, &value.to_be_bytes());
    }
    /// Four octets in network byte order.
    pub fn be32(&mut self, number: u16, value: u32) {
        self.raw(number, &value.to_be_bytes());
    }
    /// A text with its closing zero.
    pub fn text(&mut self, number: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.raw(number, &bytes);
    }

    /// An attribute that holds attributes, padded to four octets.
    pub fn nest(&mut self, number: u16, fill: impl FnOnce(&mut Attributes)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&number.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        if let Some(place) = self.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        self.align();
    }

    /// Bytes of a C struct, without an attribute's header: for kinds whose whole payload is one.
    pub fn bare(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Pads what there is to four octets: where attributes follow a struct.
    pub fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A C struct under construction: fields in order, in the machine's byte order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<u8>);

impl Fields {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }
    /// One octet.
    #[must_use]
    pub fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }
    /// Two octets.
    #[must_use]
    pub fn u16(mut self, v: u16) -> Self {
        self.0.extend_from_slice(&v.to_ne_bytes());
        self
    }
    /// Four octets.
    #[must_use]
    pub fn u32(mut self, v: u32) -> Self {
        self.0.extend_from_slice(&v.to_ne_bytes());
        self
    }
    /// Eight octets.
    #[must_use]
    pub fn u64(mut self, v: u64) -> Self {
        self.0.extend_from_slice(&v.to_ne_bytes());
        self
    }
    /// Any octets.
    #[must_use]
    pub fn raw(mut self, v: &[u8]) -> Self {
        self.0.extend_from_slice(v);
        self
    }
}

/// Received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a>(pub &'a [u8]);

impl<'a> Payload<'a> {
    /// Splits it into attributes. A rest of fewer than four octets is passed over, as the kernel does.
    ///
    /// # Errors
    /// An attribute's length points outside.
    pub fn attributes(self) -> Result<Parsed<'a>, Malformed> {
        let (mut rest, mut list) = (self.0, Vec::with_capacity(8));
        while let Some((header, _)) = rest.split_at_checked(4) {
            let mut header = Cursor::new(header);
            let (length, number) = (usize::from(header.u16()?), header.u16()? & 0x3fff);
            let payload = rest.get(4..length).ok_or(Malformed("attribute length"))?;
            list.push((number, Payload(payload)));
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Ok(Parsed { list })
    }

    /// Reads it as a C struct.
    pub fn fields(self) -> Cursor<'a> {
        Cursor::new(self.0)
    }

    /// As text up to the first zero; bytes that are not UTF-8 are replaced.
    pub fn text(self) -> String {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(self.0.get(..end).unwrap_or(self.0)).into_owned()
    }
}

/// Attributes by number; the last of a number counts, as in the kernel.
#[derive(Clone, Debug, Default)]
pub struct Parsed<'a> {
    /// All, in order.
    pub list: Vec<(u16, Payload<'a>)>,
}

impl<'a> Parsed<'a> {
    /// The payload of that number.
    pub fn get(&self, number: u16) -> Option<Payload<'a>> {
        self.list.iter().rev().find(|(n, _)| *n == number).map(|(_, p)| *p)
    }
    /// One octet.
    ///
    /// # Errors
    /// It is shorter.
    pub fn u8(&self, number: u16) -> Result<Option<u8>, Malformed> {
        self.get(number).map(|p| p.fields().u8()).transpose()
    }
    /// Two octets.
    ///
    /// # Errors
    /// It is shorter.
    pub fn u16(&self, number: u16) -> Result<Option<u16>, Malformed> {
        self.get(number).map(|p| p.fields().u16()).transpose()
    }
    /// Four octets.
    ///
    /// # Errors
    /// It is shorter.
    pub fn u32(&self, number: u16) -> Result<Option<u32>, Malformed> {
        self.get(number).map(|p| p.fields().u32()).transpose()
    }
    /// Eight octets.
    ///
    /// # Errors
    /// It is shorter.
    pub fn u64(&self, number: u16) -> Result<Option<u64>, Malformed> {
        self.get(number).map(|p| p.fields().u64()).transpose()
    }
    /// Two octets in network byte order.
    ///
    /// # Errors
    /// It is shorter.
    pub fn be16(&self, number: u16) -> Result<Option<u16>, Malformed> {
        Ok(self.u16(number)?.map(u16::from_be))
    }
    /// Four octets in network byte order.
    ///
    /// # Errors
    /// It is shorter.
    pub fn be32(&self, number: u16) -> Result<Option<u32>, Malformed> {
        Ok(self.u32(number)?.map(u32::from_be))
    }
    /// The attributes inside an attribute; none if it is absent.
    ///
    /// # Errors
    /// They are malformed.
    pub fn nested(&self, number: u16) -> Result<Option<Parsed<'a>>, Malformed> {
        self.get(number).map(Payload::attributes).transpose()
    }
}

/// Reads a C struct field by field.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// From its first octet.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    /// The next `N` octets.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed("struct"))?;
        self.rest = rest;
        Ok(*head)
    }
    /// One octet.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_ne_bytes(self.array()?))
    }
    /// Two octets.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_ne_bytes(self.array()?))
    }
    /// Four octets.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_ne_bytes(self.array()?))
    }
    /// Eight octets.
    ///
    /// # Errors
    /// There are fewer.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_ne_bytes(self.array()?))
    }
    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
