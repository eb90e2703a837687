#include "input/sources/microsoft365/consent.hpp"

#include <fmt/format.h>

#include "base/content.hpp"
#include "base/rsa.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/apis.hpp"

namespace bavn::input::microsoft365 {
namespace {

std::string filled(std::string text, std::initializer_list<std::pair<std::string_view, std::string>> values) {
  for (const auto& [name, value] : values) {
    const auto mark = fmt::format("{{{{{}}}}}", name);
    for (auto at = text.find(mark); at != text.npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  return text;
}

/// A name goes into quoted text of a script: only what can end no quote.
std::string plain_name(std::string_view name) {
  std::string out;
  for (const char c : name.substr(0, 60))
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_digit(c) || c == ' ' || c == '-' || c == '.')
      out += c;
  return out;
}

std::string_view in_language(const Words& words, std::string_view language) {
  return language == "nb" ? words.nb : language == "en" ? words.en : words.da;
}

}  // namespace

bool is_guid(std::string_view s) {
  if (s.size() != 36) return false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const char c = ascii_lower(s[i]);
    if (dash ? c != '-' : !(ascii_digit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

Result<std::string> consent_script(std::string_view tenant, std::string_view certificate_pem,
                                   std::string_view node_name, std::string_view language) {
  if (!is_guid(tenant))
    return fail(Code::bad_input,
                fmt::format("\"{}\" is no tenant id: it looks like 00000000-0000-0000-0000-000000000000 "
                            "and stands in Entra under Overview",
                            tenant));
  BAVN_TRY(auto certificate, certificate_base64(certificate_pem));
  const auto script = content::file("content/scripts/microsoft365_consent.ps1.mustache");
  BAVN_ASSERT(script);
  std::string roles;
  for (const auto& p : permissions())
    roles +=
        fmt::format("  # {}\n  @{{ Name = \"{}\"; Id = \"{}\"; Service = \"{}\" }}\n", in_language(p.why, language),
                    p.name, p.role_id, p.service == Service::graph ? "graph" : "manage");
  return filled(std::string(*script), {{"tenant", to_lower(tenant)},
                                       {"node", plain_name(node_name)},
                                       {"certificate", std::move(certificate)},
                                       {"roles", std::move(roles)}});
}

Result<std::string> purge_script(std::string_view tenant, std::string_view client, std::string_view node_name,
                                 std::string_view permission, bool take_back, std::string_view language) {
  if (!is_guid(tenant) || !is_guid(client)) return fail(Code::bad_input, "tenant and application are ids (GUIDs)");
  const auto script = content::file("content/scripts/microsoft365_purge.ps1.mustache");
  BAVN_ASSERT(script);
  for (const auto& p : purge_permissions()) {
    if (p.name != permission) continue;
    return filled(std::string(*script),
                  {{"tenant", to_lower(tenant)},
                   {"client", to_lower(client)},
                   {"node", plain_name(node_name)},
                   {"take_back", take_back ? "true" : "false"},
                   {"roles", fmt::format("#   {}: {}\n", p.name, in_language(p.why, language))},
                   {"role_table", fmt::format("  @{{ Name = \"{}\"; Id = \"{}\" }}\n", p.name, p.role_id)}});
  }
  return fail(Code::bad_input, fmt::format("\"{}\" is no permission of purge", permission));
}

Result<std::string> removal_script(std::string_view tenant, std::string_view client, std::string_view node_name) {
  if (!is_guid(tenant) || !is_guid(client)) return fail(Code::bad_input, "tenant and application are ids (GUIDs)");
  const auto script = content::file("content/scripts/microsoft365_remove.ps1.mustache");
  BAVN_ASSERT(script);
  return filled(std::string(*script),
                {{"tenant", to_lower(tenant)}, {"client", to_lower(client)}, {"node", plain_name(node_name)}});
}

Result<std::string> client_id_in(std::string_view output) {
  constexpr std::string_view mark = "BAVN-CLIENT-ID:";
  const auto at = output.find(mark);
  if (at != output.npos) {
    const auto id = trim(output.substr(at + mark.size(), 80)).substr(0, 36);
    if (is_guid(id)) return to_lower(id);
  }
  if (is_guid(trim(output))) return to_lower(trim(output));
  return fail(Code::not_found, "the output has no line BAVN-CLIENT-ID: did the script end with an error?");
}

}  // namespace bavn::input::microsoft365
