//! `$(( ))`: expressions over whole numbers, as the shell computes them (64 bits, wrapping).

/// How deep an expression may be nested.
const DEPTH: usize = 40;

/// Where an expression's variables are.
pub trait Variables {
    /// A variable's text; `None` if it cannot be known. An unset one is empty.
    fn get(&mut self, name: &str) -> Option<String>;
    /// Sets a variable.
    fn set(&mut self, name: &str, value: i64);
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It depends on something that is not known.
    Unknown,
    /// It is wrong.
    Wrong(String),
}

/// Computes an expression; an empty one is 0.
pub fn evaluate(text: &str, variables: &mut dyn Variables) -> Result<i64, Fault> {
    evaluate_within(text, variables, DEPTH)
}

fn evaluate_within(text: &str, variables: &mut dyn Variables, depth: usize) -> Result<i64, Fault> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(0);
    }
    let mut reader = Reader { tokens: &tokens, at: 0, variables, depth, live: true };
    let value = reader.comma()?;
    match reader.peek() {
        None => Ok(value),
        Some(token) => Err(Fault::Wrong(format!("`{}` has no place here", show(token)))),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(i64),
    Name(String),
    Sign(&'static str),
}

fn show(token: &Token) -> String {
    match token {
        Token::Number(n) => n.to_string(),
        Token::Name(name) => name.clone(),
        Token::Sign(sign) => (*sign).to_owned(),
    }
}

/// The longer first.
const SIGNS: &[&str] = &[
    "<<=", ">>=", "**", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "+=", "-=", "*=", "/=", "%=", "&=",
    "^=", "|=", "+", "-", "*", "/", "%", "<", ">", "!", "~", "&", "^", "|", "?", ":", "=", "(", ")", ",",
];

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length;
        if first.is_ascii_digit() {
            length =
                rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '#' | '_' | '@'))).unwrap_or(rest.len());
            out.push(Token::Number(number(rest.get(..length).unwrap_or(""))?));
        } else if first.is_ascii_alphabetic() || first == '_' {
            length = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            out.push(Token::Name(rest.get(..length).unwrap_or("").to_owned()));
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| Fault::Wrong(format!("`{first}` is no sign of arithmetic")))?;
            length = sign.len();
            out.push(Token::Sign(sign));
        }
        rest = rest.get(length..).unwrap_or("").trim_start();
    }
    Ok(out)
}

fn number(text: &str) -> Result<i64, Fault> {
    let wrong = || Fault::Wrong(format!("`{text}` is no whole number"));
    let value = if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16)
    } else if let Some((base, digits)) = text.split_once('#') {
        let base = base.parse::<u32>().ok().filter(|b| (2..=36).contains(b)).ok_or_else(wrong)?;
        i64::from_str_radix(digits, base)
    } else if text.len() > 1 && text.starts_with('0') {
        i64::from_str_radix(text, 8)
    } else {
        text.parse()
    };
    value.map_err(|_| wrong())
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    variables: &'a mut dyn Variables,
    depth: usize,
    /// Whether what is read has effect: not in the branch that `?`, `&&` or `||` does not take.
    live: bool,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, signs: &[&str]) -> Option<&'static str> {
        match self.peek() {
            Some(Token::Sign(sign)) if signs.contains(sign) => {
                self.at += 1;
                Some(sign)
            }
            _ => None,
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| Fault::Wrong("it is nested too deep".to_owned()))?;
        let out = read(self);
        self.depth += 1;
        out
    }

    fn comma(&mut self) -> Result<i64, Fault> {
        let mut value = self.assignment()?;
        while self.take(&[","]).is_some() {
            value = self.assignment()?;
        }
        Ok(value)
    }

    fn value_of(&mut self, name: &str) -> Result<i64, Fault> {
        if !self.live {
            return Ok(0);
        }
        let text = self.variables.get(name).ok_or(Fault::Unknown)?;
        let text = text.trim();
        match number(text) {
            Ok(value) => Ok(value),
            // a variable may hold an expression
            Err(_) => {
                let depth =
                    self.depth.checked_sub(1).ok_or_else(|| Fault::Wrong("it is nested too deep".to_owned()))?;
                evaluate_within(text, self.variables, depth)
            }
        }
    }

    fn set(&mut self, name: &str, value: i64) {
        if self.live {
            self.variables.set(name, value);
        }
    }

    fn assignment(&mut self) -> Result<i64, Fault> {
        if let (Some(Token::Name(name)), Some(Token::Sign(sign))) = (self.peek(), self.tokens.get(self.at + 1))
            && (*sign == "=" || (sign.len() >= 2 && sign.ends_with('=') && !["==", "!=", "<=", ">="].contains(sign)))
        {
            self.at += 2;
            let right = self.deeper(Self::assignment)?;
            let value = match sign.strip_suffix('=') {
                Some("") | None => right,
                Some(operator) => {
                    let left = self.value_of(name)?;
                    self.apply(operator, left, right)?
                }
            };
            self.set(name, value);
            return Ok(value);
        }
        self.choice()
    }

    fn choice(&mut self) -> Result<i64, Fault> {
        let condition = self.binary(0)?;
        if self.take(&["?"]).is_none() {
            return Ok(condition);
        }
        let live = self.live;
        self.live = live && condition != 0;
        let yes = self.deeper(Self::comma)?;
        if self.take(&[":"]).is_none() {
            return Err(Fault::Wrong("`:` is missing".to_owned()));
        }
        self.live = live && condition == 0;
        let no = self.deeper(Self::assignment)?;
        self.live = live;
        Ok(if condition != 0 { yes } else { no })
    }

    /// Operators by their rank, the loosest first.
    fn binary(&mut self, rank: usize) -> Result<i64, Fault> {
        const RANKS: &[&[&str]] = &[
            &["||"],
            &["&&"],
            &["|"],
            &["^"],
            &["&"],
            &["==", "!="],
            &["<=", ">=", "<", ">"],
            &["<<", ">>"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Some(operators) = RANKS.get(rank) else { return self.power() };
        let mut left = self.binary(rank + 1)?;
        while let Some(operator) = self.take(operators) {
            let live = self.live;
            self.live = live && !(operator == "&&" && left == 0) && !(operator == "||" && left != 0);
            let right = self.binary(rank + 1)?;
            left = self.apply(operator, left, right)?;
            self.live = live;
        }
        Ok(left)
    }

    fn power(&mut self) -> Result<i64, Fault> {
        let base = self.unary()?;
        if self.take(&["**"]).is_none() {
            return Ok(base);
        }
        let exponent = self.deeper(Self::power)?;
        match u32::try_from(exponent) {
            Ok(exponent) => Ok(base.wrapping_pow(exponent)),
            Err(_) if !self.live => Ok(0),
            Err(_) => Err(Fault::Wrong(format!("{exponent} is no exponent"))),
        }
    }

    fn unary(&mut self) -> Result<i64, Fault> {
        match self.take(&["+", "-", "!", "~", "++", "--", "("]) {
            Some("+") => self.deeper(Self::unary),
            Some("-") => Ok(self.deeper(Self::unary)?.wrapping_neg()),
            Some("!") => Ok(i64::from(self.deeper(Self::unary)? == 0)),
            Some("~") => Ok(!self.deeper(Self::unary)?),
            Some("(") => {
                let value = self.deeper(Self::comma)?;
                if self.take(&[")"]).is_none() {
                    return Err(Fault::Wrong("`)` is missing".to_owned()));
                }
                Ok(value)
            }
            Some(step) => match self.peek() {
                Some(Token::Name(name)) => {
                    self.at += 1;
                    let value = self.value_of(name)?.wrapping_add(if step == "++" { 1 } else { -1 });
                    self.set(name, value);
                    Ok(value)
                }
                // `- -1`
                _ => self.deeper(Self::unary),
            },
            None => self.primary(),
        }
    }

    fn primary(&mut self) -> Result<i64, Fault> {
        match self.peek() {
            Some(Token::Number(n)) => {
                self.at += 1;
                Ok(*n)
            }
            Some(Token::Name(name)) => {
                self.at += 1;
                let value = self.value_of(name)?;
                if let Some(step) = self.take(&["++", "--"]) {
                    self.set(name, value.wrapping_add(if step == "++" { 1 } else { -1 }));
                }
                Ok(value)
            }
            Some(token) => Err(Fault::Wrong(format!("a number is missing before `{}`", show(token)))),
            None => Err(Fault::Wrong("a number is missing at the end".to_owned())),
        }
    }

    fn apply(&self, operator: &str, a: i64, b: i64) -> Result<i64, Fault> {
        Ok(match operator {
            "||" => i64::from(a != 0 || b != 0),
            "&&" => i64::from(a != 0 && b != 0),
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<=" => i64::from(a <= b),
            ">=" => i64::from(a >= b),
            "<" => i64::from(a < b),
            ">" => i64::from(a > b),
            "<<" => a.wrapping_shl(b as u32),
            ">>" => a.wrapping_shr(b as u32),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            "/" | "%" if b == 0 && !self.live => 0,
            "/" | "%" if b == 0 => return Err(Fault::Wrong("a division by 0".to_owned())),
            "/" => a.wrapping_div(b),
            _ => a.wrapping_rem(b),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashMap;

    impl Variables for HashMap<String, String> {
        fn get(&mut self, name: &str) -> Option<String> {
            (name != "unknown").then(|| HashMap::get(self, name).cloned().unwrap_or_default())
        }
        fn set(&mut self, name: &str, value: i64) {
            self.insert(name.to_owned(), value.to_string());
        }
    }

    #[test]
    fn expressions_are_computed() {
        let mut variables: HashMap<String, String> = [("x".to_owned(), "10".to_owned())].into();
        let mut value = |text: &str| evaluate(text, &mut variables);
        assert_eq!(value("1 + 2 * 3"), Ok(7));
        assert_eq!(value("(1 + 2) * 3 ** 2"), Ok(27));
        assert_eq!(value("x * 80 / 100 - -1"), Ok(9));
        assert_eq!(value("x > 5 ? x << 2 : 1 / 0"), Ok(40));
        assert_eq!(value("0x1f & 017 | 2#1000"), Ok(15));
        assert_eq!(value("x++ + ++x"), Ok(22));
        assert_eq!(value("x += 3, x % 4"), Ok(3));
        assert_eq!(value("0 && 1 / 0 || !0"), Ok(1));
        assert_eq!(value(""), Ok(0));
        assert_eq!(value("nothing + 1"), Ok(1));
        assert_eq!(value("unknown + 1"), Err(Fault::Unknown));
        assert!(matches!(value("1 / 0"), Err(Fault::Wrong(_))));
        assert!(matches!(value("1 +"), Err(Fault::Wrong(_))));
        assert!(matches!(value(&"(".repeat(5000)), Err(Fault::Wrong(_))));
        assert!(matches!(value(&"-".repeat(5001)), Err(Fault::Wrong(_))));
    }
}
