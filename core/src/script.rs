//! The two operations that no single command of a server does: Lua that runs there in one step.
//!
//! Both work on Redis since 4.0 and on Valkey, and never raise an error of their own: what a
//! command in them was refused with is answered as it is, so that its first word keeps its place
//! (a raised error is wrapped by servers before 7.0).
//!
//! [`INCR`] does what [`Number::add_to`](crate::number::Number::add_to) does, for the same texts
//! with the same sums. Lua counts in doubles: integers are therefore added by the server's own
//! INCRBY, and answered as the text that it stored.

use crate::error::NumberError;

/// A script and the SHA-1 digest that a server knows it by once it has seen it.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Counts the scripts, from zero.
    pub(crate) index: usize,
    /// What a server is sent the first time.
    pub source: &'static str,
    /// What it is called by from then on, in lowercase hexadecimal.
    pub digest: &'static str,
}

impl Script {
    /// How many scripts there are.
    pub const COUNT: usize = 2;
}

/// Takes a key's timeout away: 1, or 0 where there is no such key.
///
/// PERSIST alone answers 0 also for a key that has no timeout.
pub const PERSIST: Script = Script {
    index: 0,
    source: "\
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local done = redis.pcall('PERSIST', KEYS[1])
if type(done) == 'table' and done.err then return done end
return 1",
    digest: "cc0b35d54f1647e8d2a0cb42996ea0bb66ac6ced",
};

/// Adds `ARGV[2]` to a number, as an integer where `ARGV[1]` is `i` and as a double where it is
/// `f`; the new value as a blob, or the reason why there is none as a status.
///
/// INCRBY takes no 2^63, the opposite of the lowest integer, so that is added in two steps, where the
/// number is negative and both must succeed.
///
/// The key keeps its timeout: by INCRBY itself, by KEEPTTL, or where a server is too old for that
/// (before 6.0) by setting again what is left of it. A sum that is not finite is an overflow, and
/// so is any sum with a delta that is not.
pub const INCR: Script = Script {
    index: 1,
    source: "\
local key, kind, delta = KEYS[1], ARGV[1], ARGV[2]
local text = redis.pcall('GET', key)
if type(text) == 'table' then return text end
if not text then return {ok = 'ABSENT'} end
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
    digest: "c9da3858600d0e0ae19616d1070ab23635f484cf",
};

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
        for script in [PERSIST, INCR] {
            let digest = sha1_smol::Sha1::from(script.source).digest().to_string();
            assert_eq!(script.digest, digest, "script {}", script.index);
        }
    }

    #[test]
    fn scripts_are_counted_from_zero_without_gaps() {
        assert_eq!([PERSIST.index, INCR.index], [0, 1]);
        assert_eq!(Script::COUNT, 2);
    }
}
