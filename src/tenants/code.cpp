#include "tenants/code.hpp"

#include <fmt/format.h>

#include <vector>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::tenants {

namespace {

constexpr std::string_view kStart = "bavn1.";
constexpr std::size_t kMaxCode = 400;

std::string checksum(std::string_view text) {
  return to_base32(sha256(text).substr(0, 4));
}

}  // namespace

std::string EnrolmentCode::text() const {
  const std::string body = fmt::format("{}{}.{}.{}", kStart, to_lower(hub), root, to_base32(secret));
  return body + "." + checksum(body);
}

Result<EnrolmentCode> EnrolmentCode::parse(std::string_view typed) {
  std::string text;
  for (const char c : typed.substr(0, kMaxCode + 1))
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') text += ascii_lower(c);
  if (text.empty())
    return fail(Code::bad_input, "no enrolment code was given; the hub makes one: bavn hub municipality add");
  if (!text.starts_with(kStart) || typed.size() > kMaxCode)
    return fail(Code::bad_input,
                "this is not an enrolment code: one starts with \"bavn1.\" and comes from: bavn hub municipality add");
  // From the right: the host's name has dots of its own.
  std::vector<std::string_view> parts;
  std::string_view rest = text;
  for (int i = 0; i < 3; ++i) {
    const auto dot = rest.rfind('.');
    if (dot == std::string_view::npos || dot < kStart.size())
      return fail(Code::bad_input, "part of the enrolment code is missing: copy all of it, it may span two lines");
    parts.push_back(rest.substr(dot + 1));
    rest = rest.substr(0, dot);
  }
  if (checksum(std::string_view(text).substr(0, text.size() - parts[0].size() - 1)) != parts[0])
    return fail(Code::bad_input,
                "the enrolment code was mistyped or cut off (its checksum does not fit): copy all of it again");
  EnrolmentCode code{std::string(rest.substr(kStart.size())), std::string(parts[2]), {}};
  auto secret = from_base32(parts[1]);
  const auto colon = code.hub.rfind(':');
  if (!secret || secret->size() != 16 || code.root.size() != 32 || colon == std::string::npos || colon == 0 ||
      colon + 1 == code.hub.size())
    return fail(Code::bad_input, "this enrolment code was not made by a hub of this version; ask for a new one");
  code.secret = std::move(*secret);
  return code;
}

std::string EnrolmentCode::digest(std::string_view secret) {
  return sha256(std::string("bavn enrolment code v1") + std::string(secret));
}

}  // namespace bavn::tenants
