"""The diagnosis: which convention or mistake explains what an implementation computes."""

from refglow.validation.diagnosis.diagnose import diagnose as diagnose
from refglow.validation.diagnosis.finding import Diagnosis as Diagnosis
from refglow.validation.diagnosis.finding import Finding as Finding
from refglow.validation.diagnosis.observed import Observed as Observed
from refglow.validation.diagnosis.observed import ObservedLayer as ObservedLayer
