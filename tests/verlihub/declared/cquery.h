#include "verlihub_api.h"
