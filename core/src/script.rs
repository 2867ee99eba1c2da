//! The operations that no single command of a server does: Lua scripts, which the server runs in
//! one step.
//!
//! All of them work on Redis since 4.0 and on Valkey, and never raise an error of their own. If a
//! command in a script fails, the script returns that error as it is, so that its first word stays
//! first (servers before 7.0 wrap a raised error).
//!
//! [`INCR`] does what [`Number::add_to`](crate::number::Number::add_to) does: it accepts the same
//! texts and computes the same sums. Lua counts in doubles, so integers are added by the server's
//! own INCRBY, and the script returns the text that INCRBY stored.

use crate::error::NumberError;

/// A script and the SHA-1 digest that a server knows it by once it has seen it.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// The script's number, counted from zero.
    pub(crate) index: usize,
    /// The source, sent to a server the first time.
    pub source: &'static str,
    /// The digest that calls it from then on, in lowercase hexadecimal.
    pub digest: &'static str,
}

impl Script {
    /// How many scripts there are.
    pub const COUNT: usize = 3;
}

/// Takes a key's timeout away. Returns 1, or 0 if there is no such key.
///
/// PERSIST alone returns 0 for a key without a timeout too.
pub const PERSIST: Script = Script {
    index: 0,
    source: "\
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local done = redis.pcall('PERSIST', KEYS[1])
if type(done) == 'table' and done.err then return done end
return 1",
    digest: "cc0b35d54f1647e8d2a0cb42996ea0bb66ac6ced",
};

/// Adds `ARGV[2]` to a number: as an integer if `ARGV[1]` is `i`, as a double if it is `f`.
/// Returns the new value as a blob. If there can be no sum, returns the reason as a status.
///
/// If the key is absent and `ARGV[3]` is given, the script stores and returns `ARGV[3]`, with a
/// timeout of `ARGV[4]` milliseconds if they are given. `ARGV[3]` is the sum of the initial number
/// and `ARGV[2]`, which the client has computed. If that sum does not exist, `ARGV[3]` is the
/// status that reports it, which begins with a letter.
///
/// INCRBY does not accept 2^63, the opposite of the lowest integer. The script adds it in two
/// steps; as the number must be negative, both succeed.
///
/// The key keeps its timeout: by INCRBY itself, by KEEPTTL, or on a server too old for that (before
/// 6.0) by setting again the time that was left. A sum that is not finite is an overflow, and so is
/// any sum with a delta that is not finite.
pub const INCR: Script = Script {
    index: 1,
    source: "\
local key, kind, delta = KEYS[1], ARGV[1], ARGV[2]
local text = redis.pcall('GET', key)
if type(text) == 'table' then return text end
if not text then
  local first = ARGV[3]
  if not first then return {ok = 'ABSENT'} end
  if string.find(first, '^%a') then return {ok = first} end
  local set
  if ARGV[4] then
    set = redis.pcall('SET', key, first, 'PX', ARGV[4])
  else
    set = redis.pcall('SET', key, first)
  end
  if set.err then return set end
  return first
end
local whole, rest = string.match(text, '^%-?(%d+)(.*)$')
if not whole or (#whole > 1 and string.sub(whole, 1, 1) == '0') then return {ok = 'NOTANUMBER'} end
local fraction = string.match(rest, '^%.%d+') or ''
local exponent = string.sub(rest, #fraction + 1)
if exponent ~= '' and not string.match(exponent, '^[eE][+-]?%d+$') then
  return {ok = 'NOTANUMBER'}
end
if kind == 'i' then
  if rest ~= '' or text == '-0' then return {ok = 'NOTANINTEGER'} end
  local sum
  if delta == '9223372036854775808' then
    if string.sub(text, 1, 1) ~= '-' then return {ok = 'OVERFLOW'} end
    sum = redis.pcall('INCRBY', key, '9223372036854775807')
    if type(sum) == 'number' then sum = redis.pcall('INCRBY', key, 1) end
  else
    sum = redis.pcall('INCRBY', key, delta)
  end
  if type(sum) == 'table' then
    if string.find(sum.err, 'out of range', 1, true)
      or string.find(sum.err, 'would overflow', 1, true) then
      return {ok = 'OVERFLOW'}
    end
    return sum
  end
  return redis.call('GET', key)
end
local sum = tonumber(text) + tonumber(delta)
if sum ~= sum or sum == math.huge or sum == -math.huge then return {ok = 'OVERFLOW'} end
local new
if sum == 0 then
  new = '0'
elseif sum == math.floor(sum) and math.abs(sum) < 9007199254740992 then
  new = string.format('%.0f', sum)
else
  for digits = 15, 17 do
    new = string.format('%.' .. digits .. 'g', sum)
    if tonumber(new) == sum then break end
  end
end
local set = redis.pcall('SET', key, new, 'KEEPTTL')
if set.err and string.find(set.err, 'syntax error', 1, true) then
  local left = redis.call('PTTL', key)
  if left > 0 then
    set = redis.pcall('SET', key, new, 'PX', string.format('%.0f', left))
  elseif left == -1 then
    set = redis.pcall('SET', key, new)
  else
    redis.call('DEL', key)
    return {ok = 'ABSENT'}
  end
end
if set.err then return set end
return new",
    digest: "7f287a2164d6ae068d5df482a50f13eeb6181924",
};

/// Removes a key if it holds `ARGV[1]`, byte for byte: 1, or 0 if it holds something else or
/// nothing.
pub const DELETE_IF: Script = Script {
    index: 2,
    source: "\
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if held ~= ARGV[1] then return 0 end
return redis.pcall('UNLINK', KEYS[1])",
    digest: "7cdd3339632568fea131b3b47fefb558fbb028f6",
};

/// The status that [`INCR`] is given, and returns, for a number that cannot be added to.
pub(crate) const fn status(error: NumberError) -> &'static [u8] {
    match error {
        NumberError::KeyNotFound => b"ABSENT",
        NumberError::NotANumber => b"NOTANUMBER",
        NumberError::NotAnInteger => b"NOTANINTEGER",
        NumberError::Overflow => b"OVERFLOW",
    }
}

/// What a status that [`INCR`] answers with means.
#[must_use]
pub fn refusal(status: &[u8]) -> Option<NumberError> {
    match status {
        b"ABSENT" => Some(NumberError::KeyNotFound),
        b"NOTANUMBER" => Some(NumberError::NotANumber),
        b"NOTANINTEGER" => Some(NumberError::NotAnInteger),
        b"OVERFLOW" => Some(NumberError::Overflow),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_sources() {
        for script in [PERSIST, INCR, DELETE_IF] {
            let digest = sha1_smol::Sha1::from(script.source).digest().to_string();
            assert_eq!(script.digest, digest, "script {}", script.index);
        }
    }

    #[test]
    fn every_refusal_is_recognized_by_its_status() {
        use NumberError::{KeyNotFound, NotANumber, NotAnInteger, Overflow};
        for error in [KeyNotFound, NotANumber, NotAnInteger, Overflow] {
            assert_eq!(refusal(status(error)), Some(error));
            assert!(status(error).first().is_some_and(u8::is_ascii_alphabetic));
        }
    }

    #[test]
    fn scripts_are_counted_from_zero_without_gaps() {
        assert_eq!([PERSIST.index, INCR.index, DELETE_IF.index], [0, 1, 2]);
        assert_eq!(Script::COUNT, 3);
    }
}
