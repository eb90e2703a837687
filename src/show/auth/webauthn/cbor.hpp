#pragma once
// CBOR as authenticators write it (CTAP 2.1 section 8): definite lengths, no tags, no floating point. libcbor reads the heads of items and
// allocates nothing; what is built here is bounded by the bytes that came.
// Life: bytes and text are views of what was read. Thread rules: pure functions.
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::show::auth::webauthn {

struct Cbor {
  enum class Kind : std::uint8_t { integer, bytes, text, array, map, boolean, null };
  Kind kind = Kind::null;
  std::int64_t integer = 0;   // of a boolean: 0 or 1
  std::string_view bytes{};   // of bytes and text
  std::vector<Cbor> items{};  // of a map: key, value, key, value

  const Cbor* find(std::int64_t key) const;  // in a map; null: not there
  const Cbor* find(std::string_view key) const;
  std::optional<std::int64_t> number(std::int64_t key) const;
  std::optional<std::string_view> bytes_at(std::int64_t key) const;
  std::optional<std::string_view> bytes_at(std::string_view key) const;
};

struct CborRead {
  Cbor value;
  std::size_t size = 0;  // bytes used
};
/// The first item. bad_input: cut, deeper than 8, more than 1,000 items, an indefinite length, a tag, a float, an integer beyond 63 bits, a
/// key twice in a map, text that is not UTF-8.
Result<CborRead> read_first_cbor(std::string_view bytes);
/// The one item that all bytes are.
Result<Cbor> read_cbor(std::string_view bytes);

}  // namespace bavn::show::auth::webauthn
