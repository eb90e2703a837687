#pragma once
// Syslog over UDP, TCP and TLS (RFC 5424, 3164, 6587, 5425): the lines as they came, into the sink. Syslog has no acknowledgement: what a
// sender gave away and the sink has not yet answered is lost with the process (at most `hold` bytes and 200 ms); who cannot bear that
// sends over RELP or HTTP. Life and thread rules: a Listener.
#include <memory>

#include "input/sources/listener.hpp"

namespace bavn::input::sources::syslog {

struct SyslogOptions : ListenerOptions {
  SyslogOptions() {
    transport = Transport::udp;
    port = 514;
  }
};

/// Errors: those of Listener::start.
Result<std::unique_ptr<Listener>> start_listener(Runtime& runtime, Sink& sink, SourceBook& book, SyslogOptions options);

}  // namespace bavn::input::sources::syslog
