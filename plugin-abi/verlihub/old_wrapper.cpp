// libvh_python_wrapper.so for Verlihub's old Python plugin: everything in it is libvhpy.so's,
// to which it is linked, but for one C++ function that the old plugin takes from its wrapper
// besides the C functions. libvhpy.so itself exports C only.

#include <cstdio>
#include <string>
#include <vector>

namespace nVerliHub {
namespace nPythonPlugin {

// A list of texts as JSON. What JSON does not allow in a text is escaped; bytes that are not
// ASCII stay as they are.
__attribute__((visibility("default"))) std::string stringListToJson(const std::vector<std::string> &list)
{
    std::string json = "[";
    for (const std::string &text : list) {
        json += json.size() > 1 ? ",\"" : "\"";
        for (const char byte : text) {
            if (byte == '"' || byte == '\\') {
                json += '\\';
                json += byte;
            } else if (static_cast<unsigned char>(byte) < 0x20) {
                char escaped[8];
                std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(byte));
                json += escaped;
            } else {
                json += byte;
            }
        }
        json += '"';
    }
    return json + "]";
}

} // namespace nPythonPlugin
} // namespace nVerliHub
