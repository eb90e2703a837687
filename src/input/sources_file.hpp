#pragma once
// sources.toml: what a node follows and listens to. Microsoft 365 and HTTP senders are not here: they are set up by commands, with keys
// that do not belong into a file that people edit.
//   [[source]]
//   name = "mail"                     # on the status page and in rules
//   kind = "files"
//   paths = ["/var/log/mail.log*"]
// An error names file, line, key and the nearest key that exists; all of them are told at once.
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/files.hpp"
#include "input/sources/files/files.hpp"
#include "input/sources/kafka/kafka.hpp"
#include "input/sources/relp/relp.hpp"
#include "input/sources/syslog/syslog.hpp"

namespace bavn::input {

struct SourcesFile {
  std::vector<sources::files::FileOptions> files;
  std::vector<sources::syslog::SyslogOptions> syslog;  // certificates and keys are read
  std::vector<sources::relp::RelpOptions> relp;        // the same
  std::vector<sources::kafka::KafkaOptions> kafka;     // passwords are read
};

/// served: the municipalities of this node; of one, a source need not say which it is.
/// folder: certificates with a relative path are there.
Result<SourcesFile> read_sources(std::string_view toml, const std::string& file, std::span<const MunicipalityId> served,
                                 Files& files, const std::string& folder);

/// A file with everything that may be set, all of it as comments: for `bavn config explain` and for a new node.
std::string explain_sources();

}  // namespace bavn::input
