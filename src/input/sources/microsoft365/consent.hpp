#pragma once
// The scripts a person reads and runs in the tenant: one that lets the node read, one that takes it all back (content/scripts).
#include <string>
#include <string_view>

#include "input/sources/microsoft365/access.hpp"

namespace bavn::input::microsoft365 {

/// language: da, nb or en, for the plain words beside each right. bad_input: a tenant that is no GUID, or no certificate.
Result<std::string> consent_script(std::string_view tenant, std::string_view certificate_pem,
                                   std::string_view node_name, std::string_view language);
/// Lets the node move mail, or takes only that back. permission: a name of purge_permissions().
Result<std::string> purge_script(std::string_view tenant, std::string_view client, std::string_view node_name,
                                 std::string_view permission, bool take_back, std::string_view language);
Result<std::string> removal_script(std::string_view tenant, std::string_view client, std::string_view node_name);

/// What the consent script prints at its end; not_found when the text has none.
Result<std::string> client_id_in(std::string_view output);
bool is_guid(std::string_view s);

}  // namespace bavn::input::microsoft365
