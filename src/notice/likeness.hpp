#pragma once
// Near-same texts: a subject with what differs from mail to mail taken out (digits, ids, addresses, Re: and Sv:), and 64-bit simhashes whose
// distance in bits says how much two texts share. Thread rules: plain functions.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bavn::notice {

/// "SV: Faktura 2024-1187 til jens@town.example" -> "faktura # til @". Lower case, at most 256 bytes are read.
std::string masked_subject(std::string_view subject);
/// Of the text's shingles of three characters; 0 for an empty text.
std::uint64_t simhash(std::string_view text);
/// 16 hex digits, as facts carry it; empty when it is none.
std::optional<std::uint64_t> read_simhash(std::string_view hex);
inline int distance(std::uint64_t a, std::uint64_t b) {
  return __builtin_popcountll(a ^ b);
}

}  // namespace bavn::notice
